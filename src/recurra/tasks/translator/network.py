"""The encoder-decoder with attention as a torch module, all steps of a target at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra import ops
from recurra.errors import InputError
from recurra.nn.attention import Attention
from recurra.nn.recurrent import Recurrent


class Steps(NamedTuple):
    """What a decoder made of a target, step by step."""

    features: Tensor  # (T, B, F), what the output layer reads
    weights: Tensor  # (T, B, S), where each step looked
    copy: Tensor | None  # (T, B), logits of copying rather than writing
    head: Tensor  # (V, F), the matrix of the output layer


class EncoderDecoder(nn.Module):
    """P(target | source) (Sutskever et al. 2014; Bahdanau et al. 2015), without a loop over steps.

    The first layer of the decoder reads the target so far and nothing else, so that it runs over
    all steps in one call; its outputs are the queries of the attention (Luong et al. 2015, without
    input feeding). The layers of `reader` read outputs and contexts, again over all steps, as in
    Wu et al. (2016), and what they say looks at the source once more.

        s = decoder(target);  c = attention(s);  r = reader([s; c]);  c' = attention'(r)
        features = tanh(W [r; c'] + b)

    Without a reader r is s and c' is c.

    Args:
        source_vocabulary, target_vocabulary: tokens of each side.
        encoder, decoder: recurrent layers, time-major; the decoder runs forward alone.
        reader: further layers of the decoder, which read outputs and contexts; or None.
        score: of the attention.
        embedding: E, width of both embeddings.
        features: F, width of what the output layer reads.
        shared: source and target have one vocabulary and one embedding.
        tied: the embedding of the target is the output layer's matrix (E = F).
        copy: words may be copied from the source (See et al. 2017).
        dropout: probability of dropping a feature of the embeddings and of the output.

    Raises:
        InputError: sizes that do not fit together.
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        encoder: Recurrent,
        decoder: Recurrent,
        reader: Recurrent | None,
        *,
        score: str,
        embedding: int,
        features: int,
        shared: bool = False,
        tied: bool = False,
        copy: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        memory, query = encoder.output_size, decoder.output_size
        last = query if reader is None else reader.output_size
        wanted = [(encoder, embedding), (decoder, embedding)]
        wanted += [] if reader is None else [(reader, query + memory)]
        for layers, size in wanted:
            if layers.input_size != size:
                raise InputError(
                    f"EncoderDecoder: expected layers that read {size} features, "
                    f"received {layers.input_size}"
                )
        if shared and source_vocabulary != target_vocabulary:
            raise InputError(
                f"EncoderDecoder: shared needs one vocabulary, received {source_vocabulary} and "
                f"{target_vocabulary} tokens"
            )
        if tied and embedding != features:
            raise InputError(
                f"EncoderDecoder: tied weights need an embedding as wide as the output "
                f"({features}), received {embedding}"
            )
        self.shared, self.tied, self.dropout = shared, tied, dropout
        self.source_embedding = nn.Embedding(source_vocabulary, embedding)
        self.target_embedding = nn.Embedding(target_vocabulary, embedding)
        self.encoder, self.decoder, self.reader = encoder, decoder, reader
        self.bridge = nn.Linear(memory, sum(_sizes(decoder)) + sum(_sizes(reader)))
        self.attention = Attention(score, query, memory)
        self.second = None if reader is None else Attention(score, last, memory)
        self.combine = nn.Linear(last + memory, features)
        self.head = nn.Linear(features, target_vocabulary)
        self.copy = nn.Linear(features + embedding, 1) if copy else None
        self._initialise()

    def _initialise(self) -> None:
        # One matrix serves as output layer and as input: small for the one, scaled for the other.
        width = self.target_embedding.embedding_dim
        self.scale = math.sqrt(width) if self.tied else 1.0
        if self.tied:
            nn.init.normal_(self.target_embedding.weight, std=1 / self.scale)
            self.head.weight = self.target_embedding.weight
        if self.shared:
            self.source_embedding.weight = self.target_embedding.weight
        nn.init.zeros_(self.head.bias)

    def forward(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> Steps:
        """Read sources, and the targets so far.

        Args:
            source: ids (B, S).
            lengths: tokens of each source (B).
            inputs: ids (B, T) that each step reads: a start, then the target but its last.
        """
        valid = torch.arange(source.shape[1], device=source.device)[:, None] < lengths[None]
        x, y, head = self._embed(source.T, inputs.T)
        memory, ended = self.encoder(x, mask=valid)
        states = self._bridge(ended)
        outputs, _ = self.decoder(y, states[0])
        context, weights = self.attention(outputs, memory, valid=valid)
        if self.reader is not None and self.second is not None:
            outputs, _ = self.reader(self._drop(torch.cat((outputs, context), -1)), states[1])
            context, weights = self.second(outputs, memory, valid=valid)
        features = torch.tanh(self.combine(torch.cat((outputs, context), -1)))
        copy = None
        if self.copy is not None:
            copy = self.copy(torch.cat((features, y), -1)).squeeze(-1)
        return Steps(self._drop(features), weights, copy, head)

    def losses(
        self,
        source: Tensor,
        lengths: Tensor,
        inputs: Tensor,
        targets: Tensor,
        *,
        counted: Tensor,
        copied: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Score each token of the targets.

        Args:
            source, lengths, inputs: as for `forward`.
            targets: ids (B, T); those from V on can only be copied.
            counted: booleans (B, T): which targets there are.
            copied: where words are copied, for each step of the source the id (B, S) that a copy
                of it writes; a target from V on is such an id.
            smoothing: share of the probability that training asks for every token alike
                (Szegedy et al. 2016); words are not smoothed where they can be copied.

        Returns:
            Negative log-likelihoods (B, T) in nats, zero where `counted` has False; with
            `smoothing` the cross-entropy with the smoothed target.
        """
        steps = self(source, lengths, inputs)
        x = steps.features.flatten(0, 1)
        wanted, there = targets.T.flatten(), counted.T.flatten()
        known = wanted < len(self.head.weight)
        inside = wanted.clamp(max=len(self.head.weight) - 1)
        half = self.decoder.precision == "bf16"
        weight, bias = steps.head, self.head.bias
        if smoothing and self.copy is None:
            rows, weight = ops.embedding(inside, weight)
        nll = ops.token_losses(x, weight, bias, inside, there & known, half=half)
        if self.copy is not None and copied is not None and steps.copy is not None:
            return self._mixed(nll, known & there, steps, targets, copied, counted)
        if smoothing:
            # -mean(log p) - (-log p[target]) = (w[target] - mean w) x + b[target] - mean b
            gap = (x * (rows - weight.mean(0))).sum(-1)
            gap = gap + bias[inside] - bias.mean()
            nll = nll + smoothing * gap.masked_fill(~there, 0.0)
        return nll.view(targets.T.shape).T

    def _mixed(
        self,
        nll: Tensor,
        known: Tensor,
        steps: Steps,
        targets: Tensor,
        copied: Tensor,
        counted: Tensor,
    ) -> Tensor:
        """-log of (1 - p) P(written) + p P(copied), p the probability of copying."""
        assert steps.copy is not None
        same = targets.T[:, :, None] == copied[None]  # (T, B, S)
        mass = (steps.weights * same).sum(-1)
        # log 0 has no gradient; the least float in its place has none that counts.
        tiny = torch.finfo(mass.dtype).tiny
        pasted = functional.logsigmoid(steps.copy) + mass.clamp(min=tiny).log()
        written = functional.logsigmoid(-steps.copy) - nll.view(targets.T.shape)
        written = written.masked_fill(~known.view(targets.T.shape), -1e4)
        return -torch.logaddexp(written, pasted).masked_fill(~counted.T, 0.0).T

    def _bridge(self, ended: Tensor | tuple[Tensor, ...]) -> list[Tensor | tuple[Tensor, ...]]:
        """Initial states of the decoder and of its reader, from where the encoder ended."""
        first = ended if isinstance(ended, Tensor) else ended[0]
        last = torch.cat(list(first[-self.encoder.num_directions :]), -1)
        parts = iter(
            torch.tanh(self.bridge(last)).split([*_sizes(self.decoder), *_sizes(self.reader)], -1)
        )
        made: list[Tensor | tuple[Tensor, ...]] = []
        for layers in (self.decoder, self.reader):
            if layers is not None:
                rows = layers.num_layers
                states = tuple(
                    torch.stack([next(parts) for _ in range(rows)]) for _ in layers.state_sizes
                )
                made.append(states if len(states) > 1 else states[0])
        return made

    def _embed(self, source: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The rows of sources (S, B, E) and inputs (T, B, E), and the output layer's matrix.

        One matrix of several uses is passed from use to use, as each adds its gradient in place.
        """
        table = self.target_embedding.weight
        if self.shared:
            x, table = ops.embedding(source, table)
        else:
            x, _ = ops.embedding(source, self.source_embedding.weight)
        y, table = ops.embedding(inputs, table)
        if not self.tied:
            return self._drop(x), self._drop(y), self.head.weight
        x = x * self.scale if self.shared else x
        return self._drop(x), self._drop(y * self.scale), table

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


def _sizes(layers: Recurrent | None) -> list[int]:
    """Units of all states of some layers: state by state, layer by layer."""
    if layers is None:
        return []
    return [size for size in layers.state_sizes for _ in range(layers.num_layers)]
