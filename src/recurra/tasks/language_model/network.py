"""The recurrent language model as a torch module: embedding, recurrent layers, softmax."""

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra import ops
from recurra.errors import InputError
from recurra.nn.recurrent import Recurrent

State: TypeAlias = Tensor | tuple[Tensor, ...]


class RecurrentLM(nn.Module):
    """P(next token | tokens so far), from recurrent layers (Mikolov et al. 2010).

    Args:
        vocabulary: V, number of tokens.
        rnn: the recurrent layers, time-major; reads E features, or V where the input is one-hot.
            Their precision is also that of the products of the loss.
        embedding: E, or 0 for one-hot input.
        tied: share the embedding with the output layer (Press & Wolf 2017; Inan et al. 2017).
        embedding_dropout: probability of dropping an input feature.
        output_dropout: probability of dropping an output feature of the last layer.

    Raises:
        InputError: sizes that do not fit together.
    """

    def __init__(
        self,
        vocabulary: int,
        rnn: Recurrent,
        *,
        embedding: int,
        tied: bool = False,
        embedding_dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        expected = embedding or vocabulary
        if rnn.input_size != expected:
            raise InputError(
                f"RecurrentLM: expected layers that read {expected} features, "
                f"received {rnn.input_size}"
            )
        if tied and embedding != rnn.output_size:
            raise InputError(
                f"RecurrentLM: tied weights need an embedding as wide as the output "
                f"({rnn.output_size}), received {embedding}"
            )
        self.vocabulary, self.tied = vocabulary, tied
        self.embedding = nn.Embedding(vocabulary, embedding) if embedding else None
        self.rnn = rnn
        self.head = nn.Linear(rnn.output_size, vocabulary)
        self.embedding_dropout, self.output_dropout = embedding_dropout, output_dropout
        self._initialise()

    def _initialise(self) -> None:
        # A tied matrix serves two masters: small enough to start from an even distribution.
        if self.embedding is not None and self.tied:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.head.weight = self.embedding.weight
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State]:
        """Read tokens from a state.

        Args:
            inputs: ids (B, T).
            targets: the ids that follow, (B, T), or None.
            mask: booleans (B, T): which targets count; None counts all.
            state: of the streams, as this returns it; None starts anew.

        Returns:
            Without targets the logits (B, T, V); with targets the negative log-likelihood summed
            over all that count, in nats. And the state after the last token.
        """
        if targets is None:
            outputs, state, weight = self._encode(inputs.T, state)
            return functional.linear(outputs, weight, self.head.bias).transpose(0, 1), state
        losses, state = self.losses(inputs, targets, mask=mask, state=state)
        return losses.sum(), state

    def losses(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        mask: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State]:
        """Score each target by itself; arguments as for `forward`.

        Returns:
            The negative log-likelihood of each target (B, T), in nats, zero where `mask` has
            False; and the state after the last token. Logits of all tokens are never held.
        """
        outputs, state, weight = self._encode(inputs.T, state)
        losses = ops.token_losses(
            outputs.reshape(-1, outputs.shape[-1]),
            weight,
            self.head.bias,
            targets.T.reshape(-1),
            None if mask is None else mask.T.reshape(-1),
            half=self.rnn.precision == "bf16",
        )
        return losses.view(targets.T.shape).T, state

    def _encode(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State, Tensor]:
        """Tokens (T, B) to outputs (T, B, D * R); also returns the weight of the output layer."""
        weight = self.head.weight
        if self.embedding is None:
            rows = torch.eye(self.vocabulary, dtype=weight.dtype, device=tokens.device)
        else:
            rows = weight if self.tied else self.embedding.weight
        dropped = self.training and self.embedding_dropout > 0
        x: Tensor | ops.Lookup
        # Not where torch traces: a graph would be for few tokens or for many alone.
        traced = torch.compiler.is_compiling()
        if not dropped and not traced and 2 * len(rows) <= tokens.numel():
            x = ops.Lookup(rows, tokens)
        else:
            x, passed = ops.embedding(tokens, rows)
            weight = passed if self.tied else weight
            x = functional.dropout(x, self.embedding_dropout, self.training)
        outputs, state = self.rnn(x, state)
        return functional.dropout(outputs, self.output_dropout, self.training), state, weight
