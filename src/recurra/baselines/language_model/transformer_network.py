"""A causal Transformer language model: the rival of recurrent ones, behind the same calls."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra import ops
from recurra.baselines.transformer_network import positions


class Block(nn.Module):
    """Self-attention to what came before, and a feed-forward layer, each normalised before."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        for linear in (self.qkv, self.out, self.up, self.down):
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Read x (B, T, F); mask (B, 1, T, T) says what may be looked at, None: what came before"""
        B, T, F = x.shape
        parts = self.qkv(self.norm_attention(x)).view(B, T, 3, self.heads, F // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=mask is None,
        )
        x = x + self._drop(self.out(found.transpose(1, 2).reshape(B, T, F)))
        return x + self._drop(self.down(functional.gelu(self.up(self.norm_forward(x)))))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class TransformerLM(nn.Module):
    """P(next token | tokens so far) from causal self-attention (Vaswani et al. 2017).

    Embedding and output layer are one matrix. In training every segment is read by itself, of at
    most `context` tokens. A trained model reads on from a state, the tokens before: it predicts
    half a context at a time, so that each token has between a half and a whole one to look at.

    Args:
        vocabulary: V.
        width: F, a multiple of `heads`.
        layers: of attention and feed-forward.
        heads: of attention.
        feedforward: units of the feed-forward layers; by default 4 · F.
        context: the most tokens that are looked at.
        dropout: of the embedding, the attention, and what the blocks add.
    """

    tied = True

    def __init__(
        self,
        vocabulary: int,
        width: int,
        layers: int,
        *,
        heads: int,
        context: int,
        dropout: float,
        feedforward: int | None = None,
    ) -> None:
        super().__init__()
        self.vocabulary, self.width, self.context = vocabulary, width, context
        self.dropout = dropout
        self.embedding = nn.Embedding(vocabulary, width)
        units = feedforward or 4 * width
        self.blocks = nn.ModuleList(Block(width, heads, units, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.head.weight = self.embedding.weight

    @property
    def reach(self) -> int:
        """How many tokens a state holds."""
        return self.context // 2

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        state: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Read tokens: see `recurra.tasks.language_model.network.RecurrentLM.forward`.

        A state is the last tokens read (`reach`, B), -1 where there were none.
        """
        if targets is None:
            outputs, state = self._read(inputs, state)
            return functional.linear(outputs, self.head.weight, self.head.bias), state
        losses, state = self.losses(inputs, targets, mask=mask, state=state)
        return losses.sum(), state

    def losses(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        mask: Tensor | None = None,
        state: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Score each target (B, T): see `RecurrentLM.losses`."""
        outputs, state = self._read(inputs, state)
        losses = ops.token_losses(
            outputs.reshape(-1, self.width),
            self.head.weight,
            self.head.bias,
            targets.reshape(-1),
            None if mask is None else mask.reshape(-1),
        )
        return losses.view(targets.shape), state

    def _read(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outputs (B, T, F), and the state after."""
        B, T = inputs.shape
        if state is None:
            state = inputs.new_full((self.reach, B), -1)
        history = torch.cat([state.T, inputs], 1)
        after = history[:, history.shape[1] - self.reach :].T
        if self.training:
            size = self.context
            parts = [self._encode(part) for part in inputs.split(size, 1)]
        else:
            size = self.context - self.reach
            parts = [
                self._encode(history[:, first : first + self.reach + size])[:, self.reach :]
                for first in range(0, T, size)
            ]
        return torch.cat(parts, 1) if parts else self.embedding.weight.new_zeros(
            (B, 0, self.width)
        ), after

    def _encode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T), -1 where there is none, to outputs (B, T, F).

        Outputs before the first token of any row are zero: nothing reads them, and a model may say
        that its context is longer than what is read.
        """
        none = 0
        if not self.training:
            there = (tokens >= 0).any(0)
            none = int(there.int().argmax()) if there.any() else tokens.shape[1] - 1
            tokens = tokens[:, none:]
        T = tokens.shape[1]
        x = self.embedding(tokens.clamp(min=0)) * math.sqrt(self.width)
        x = x + positions(none + T, self.width)[none:].to(x)
        x = functional.dropout(x, self.dropout, self.training)
        mask = None
        if not self.training:
            # Nothing looks at what is not there, but for itself: softmax over nothing is NaN.
            steps = torch.arange(T, device=tokens.device)
            before = steps[None, :] <= steps[:, None]
            mask = ((tokens >= 0)[:, None, :] & before) | torch.eye(T, dtype=torch.bool).to(before)
            mask = mask[:, None]
        for block in self.blocks:
            x = block(x, mask)
        return functional.pad(self.norm(x), (0, 0, none, 0))


def parameter_count(vocabulary: int, width: int, layers: int, feedforward: int) -> int:
    """Parameters of a `TransformerLM`."""
    block = 4 * width**2 + 9 * width + feedforward * (2 * width + 1)
    return vocabulary * (width + 1) + layers * block + 2 * width


def sizes_for(parameters: int, vocabulary: int, layers: int, *, heads: int) -> tuple[int, int]:
    """The width, a multiple of `heads`, and the feed-forward units with which a `TransformerLM` has
    about so many parameters: units are about four times the width, more or fewer to fit."""

    def count(width: int) -> int:
        return parameter_count(vocabulary, width, layers, 4 * width)

    widths = range(heads, 4096 + heads, heads)
    width = min(widths, key=lambda w: abs(count(w) - parameters))
    missing = parameters - count(width)
    return width, max(1, 4 * width + round(missing / (layers * (2 * width + 1))))
