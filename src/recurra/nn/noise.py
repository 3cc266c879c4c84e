"""The noise that a layer draws for one call of one direction."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from recurra import ops

if TYPE_CHECKING:
    from recurra.nn.recurrent import Recurrent

_QUIET = ops.Noise()


def drawn(layer: "Recurrent", steps: int, states: tuple[Tensor, ...]) -> ops.Noise:
    """Return recurrent dropout and zoneout of a layer for `steps` steps.

    Args:
        layer: whose rates count, and whether it trains.
        steps: T.
        states: initial states (B, ·), of which the shapes, dtype and device count.
    """
    recurrent = None
    if layer.recurrent_dropout and layer.training:
        recurrent = functional.dropout(torch.ones_like(states[0]), layer.recurrent_dropout)
    if not any(layer.zoneout):
        return _QUIET if recurrent is None else ops.Noise(recurrent)
    keep: list[Tensor | float | None] = []
    for rate, state in zip(layer.zoneout, states, strict=True):
        if not rate:
            keep.append(None)
        elif layer.training:
            keep.append(torch.rand(steps, *state.shape).lt_(rate).to(state))
        else:
            keep.append(rate)
    return ops.Noise(recurrent, tuple(keep))
