"""A Transformer that translates: the rival of `EncoderDecoder`, with the same losses."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra import ops
from recurra.errors import InputError


class Cache(NamedTuple):
    """What has been read of N targets: keys and values (N, heads, T, D / heads) of each layer, and
    those of the sources, of which `valid` (N, 1, 1, S) steps are there."""

    own: tuple[tuple[Tensor, Tensor], ...]
    sources: tuple[tuple[Tensor, Tensor], ...]
    valid: Tensor


class TransformerEncoderDecoder(nn.Module):
    """P(target | source) by self-attention alone (Vaswani et al. 2017).

    Layer norm comes first in a layer (Xiong et al. 2020), positions are sinusoids, the embedding of
    the target is the output layer's matrix.

    Args:
        source_vocabulary, target_vocabulary: tokens of each side.
        width: D, features of a layer.
        layers: of the encoder, and of the decoder.
        heads: of each attention.
        shared: source and target have one vocabulary and one embedding.
        dropout: of embeddings, attention and what a layer adds.

    Raises:
        InputError: a width that heads do not divide.
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        width: int,
        layers: int,
        *,
        heads: int = 4,
        shared: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise InputError(
                f"TransformerEncoderDecoder: expected a width that {2 * heads} divides, "
                f"received {width}"
            )
        self.width, self.dropout = width, dropout
        self.target_embedding = nn.Embedding(target_vocabulary, width)
        self.source_embedding = self.target_embedding
        if not shared:
            self.source_embedding = nn.Embedding(source_vocabulary, width)
        for table in dict.fromkeys((self.source_embedding, self.target_embedding)):
            nn.init.normal_(table.weight, std=width**-0.5)
        self.encoder = nn.ModuleList(_Layer(width, heads, dropout, False) for _ in range(layers))
        self.decoder = nn.ModuleList(_Layer(width, heads, dropout, True) for _ in range(layers))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(target_vocabulary))

    def forward(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Read sources (B, S) and the targets so far (B, T): features (B, T, D)."""
        return self.read(inputs, self.start(source, lengths))[0]

    def losses(
        self,
        source: Tensor,
        lengths: Tensor,
        inputs: Tensor,
        targets: Tensor,
        *,
        counted: Tensor,
        copied: None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Negative log-likelihoods (B, T), as `EncoderDecoder.losses`."""
        x, weight = self(source, lengths, inputs).flatten(0, 1), self.target_embedding.weight
        wanted, there = targets.flatten(), counted.flatten()
        rows, weight = ops.embedding(wanted, weight)
        nll = ops.token_losses(x, weight, self.bias, wanted, there)
        if smoothing:
            gap = (x * (rows - weight.mean(0))).sum(-1)
            gap = gap + self.bias[wanted] - self.bias.mean()
            nll = nll + smoothing * gap.masked_fill(~there, 0.0)
        return nll.view(targets.shape)

    def start(self, source: Tensor, lengths: Tensor) -> Cache:
        """Read sources: what is known before the first token of their targets."""
        valid = torch.arange(source.shape[1], device=source.device)[None] < lengths[:, None]
        seen = valid[:, None, None]
        x = self._embed(self.source_embedding, source, 0)
        for layer in self.encoder:
            x = layer(x, seen)[0]
        memory = self.encoder_norm(x)
        sources = tuple(layer.across.keys(memory) for layer in self.decoder)
        return Cache((), sources, seen)

    def read(self, inputs: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Read tokens (N, T) that follow those of the cache: features (N, T, D), the new cache."""
        before = cache.own[0][0].shape[2] if cache.own else 0
        x = self._embed(self.target_embedding, inputs, before)
        steps = torch.arange(before + inputs.shape[1], device=inputs.device)
        seen = (steps[None] <= steps[before:, None])[None, None]
        own = []
        for number, layer in enumerate(self.decoder):
            past = cache.own[number] if cache.own else None
            x, kept = layer(x, seen, past, cache.sources[number], cache.valid)
            own.append(kept)
        return self.decoder_norm(x), cache._replace(own=tuple(own))

    def logits(self, features: Tensor) -> Tensor:
        """Of every token, from features (…, D)."""
        return functional.linear(features, self.target_embedding.weight, self.bias)

    def _embed(self, table: nn.Embedding, ids: Tensor, first: int) -> Tensor:
        steps = torch.arange(first, first + ids.shape[1], device=ids.device, dtype=torch.float32)
        half = torch.arange(self.width // 2, device=ids.device, dtype=torch.float32)
        angles = steps[:, None] * torch.exp(-math.log(10000.0) * 2 * half / self.width)
        x = ops.embedding(ids, table.weight)[0] * math.sqrt(self.width) + torch.cat(
            (angles.sin(), angles.cos()), -1
        )
        return functional.dropout(x, self.dropout, self.training)


class _Layer(nn.Module):
    """Self-attention, attention across to the source in decoders, and two linear maps."""

    def __init__(self, width: int, heads: int, dropout: float, decoder: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.own = _Attention(width, heads, dropout)
        self.across = _Attention(width, heads, dropout) if decoder else None
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if decoder else 2))

    def forward(
        self,
        x: Tensor,
        seen: Tensor,
        past: tuple[Tensor, Tensor] | None = None,
        source: tuple[Tensor, Tensor] | None = None,
        valid: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        normed = self.norms[0](x)
        kept = self.own.keys(normed)
        if past is not None:
            kept = (torch.cat((past[0], kept[0]), 2), torch.cat((past[1], kept[1]), 2))
        x = x + self._drop(self.own(normed, kept, seen))
        if self.across is not None and source is not None and valid is not None:
            x = x + self._drop(self.across(self.norms[1](x), source, valid))
        inner = functional.relu(self.up(self.norms[-1](x)))
        return x + self._drop(self.down(self._drop(inner))), kept

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class _Attention(nn.Module):
    """Scaled dot products of several heads."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.both = nn.Linear(width, 2 * width)
        for layer in (self.query, self.output, self.both):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, S, D / heads) of x (B, S, D)."""
        key, value = self.both(x).chunk(2, -1)
        return self._part(key), self._part(value)

    def forward(self, x: Tensor, pairs: tuple[Tensor, Tensor], seen: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        found = functional.scaled_dot_product_attention(
            self._part(self.query(x)), *pairs, attn_mask=seen, dropout_p=dropout
        )
        return self.output(found.transpose(1, 2).flatten(2))

    def _part(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def width_for(
    parameters: int, *, source: int, target: int, shared: bool, layers: int, heads: int
) -> int:
    """The width D at which a Transformer has about so many parameters."""
    tokens = target + (0 if shared else source)

    def count(d: int) -> int:
        # A layer of each side: three attentions of 4 D², twice 8 D² of the linear maps; the rest
        # are biases and norms.
        return tokens * d + layers * (28 * d * d + 32 * d) + 4 * d + target

    return min(range(2 * heads, 4096, 2 * heads), key=lambda d: abs(count(d) - parameters))
