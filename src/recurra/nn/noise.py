"""The noise that a layer draws for one call of one direction."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from recurra.nn.arguments import LayerArguments

#: The fields `mask`, `keep` and `rates` of `recurra.ops.Call`.
Noise = tuple[Tensor | None, Sequence[Tensor | None], Sequence[float]]


def drawn(layer: LayerArguments, steps: int, states: Sequence[Tensor]) -> Noise:
    """Return recurrent dropout and zoneout of a layer for `steps` steps.

    Args:
        layer: whose rates count, and whether it trains.
        steps: T.
        states: initial states (1, B, ·), of which the shapes, dtype and device count.
    """
    mask, keep = None, []
    if layer.recurrent_dropout and layer.training:
        mask = functional.dropout(torch.ones_like(states[0][0]), layer.recurrent_dropout)
    if not any(layer.zoneout):
        return mask, (), ()
    for rate, state in zip(layer.zoneout, states, strict=True):
        draws = rate and layer.training
        keep.append(torch.rand(steps, *state[0].shape).lt_(rate).to(state[0]) if draws else None)
    pairs = zip(keep, layer.zoneout, strict=True)
    return mask, keep, [rate if share is None else 0.0 for share, rate in pairs]
