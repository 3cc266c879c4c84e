"""A Transformer encoder: the rival of recurrent layers, in their place."""

import math

import torch
from torch import Tensor, nn


class TransformerEncoder(nn.Module):
    """Layers of self-attention over sequences (Vaswani et al. 2017), normalised before each block.

    Reads and returns what `recurra.nn.Recurrent` does, (T, B, I) to (T, B, F), so that it can stand
    in its place. Positions are sines of geometric wavelengths, added to the projected input.

    Args:
        input_size: I, features of the input.
        width: F, features between and after the layers; a multiple of `heads`.
        layers: of self-attention and feed-forward.
        heads: of attention.
        feedforward: units of the feed-forward block; by default 4 · F.
        dropout: of both blocks' outputs and of the attention.
    """

    def __init__(
        self,
        input_size: int,
        width: int,
        layers: int = 2,
        *,
        heads: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size, self.num_directions = input_size, width, 1
        self.project = nn.Linear(input_size, width)
        block = nn.TransformerEncoderLayer(
            width,
            heads,
            feedforward or 4 * width,
            dropout,
            activation="gelu",
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(
            block, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        for parameter in self.blocks.parameters():  # its layers begin as copies of one
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, input: Tensor, *, lengths: Tensor | None = None) -> tuple[Tensor, None]:
        """Read (T, B, I), of each sequence the first `lengths` (B,): (T, B, F), zero beyond."""
        x = self.project(input) * math.sqrt(self.output_size)
        x = x + positions(len(x), self.output_size).to(x)[:, None]
        if lengths is None:
            return self.blocks(x), None
        padding = torch.arange(len(x), device=x.device)[None, :] >= lengths[:, None]
        # Softmax over nothing is NaN: a sequence without a step may look at its first.
        looked_at = padding.clone()
        looked_at[:, :1] = False
        y = self.blocks(x, src_key_padding_mask=looked_at)
        return y.masked_fill(padding.T[..., None], 0), None


def positions(steps: int, width: int) -> Tensor:
    """Sines and cosines of wavelengths from 2π to 10,000 · 2π: (T, F)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(steps)[:, None] * rates
    found = torch.zeros(steps, width)
    found[:, 0::2] = angles.sin()
    found[:, 1::2] = angles.cos()[:, : width // 2]
    return found


def transformer_parameters(input_size: int, width: int, layers: int, feedforward: int) -> int:
    """Parameters of a `TransformerEncoder`."""
    block = 4 * width**2 + 9 * width + feedforward * (2 * width + 1)
    return input_size * width + width + layers * block + 2 * width


def sizes_for(parameters: int, input_size: int, layers: int, *, heads: int = 4) -> tuple[int, int]:
    """Width and feed-forward units with which an encoder has about so many parameters.

    The width is that multiple of `heads` that comes closest with the usual 4 · F units, which then
    make up the difference.
    """

    def count(width: int, feedforward: int) -> int:
        return transformer_parameters(input_size, width, layers, feedforward)

    widths = range(heads, 4096 + heads, heads)
    width = min(widths, key=lambda w: abs(count(w, 4 * w) - parameters))
    missing = parameters - count(width, 4 * width)
    return width, max(1, 4 * width + round(missing / (layers * (2 * width + 1))))
