"""States are values: what a layer returned can be cut from the graph, selected, forked, fed back.

A state is a tensor (layers * directions, B, ·), or a tuple of such: as layers take and return it.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

State = TypeVar("State", Tensor, tuple[Tensor, ...])


def detach(state: State) -> State:
    """Return the state cut from the graph: no gradient flows into the past (truncated BPTT)."""
    return _each(state, lambda s: s.detach())


def select(state: State, rows: Tensor) -> State:
    """Return the state of streams `rows` (N,), in that order; a row may occur more than once."""
    return _each(state, lambda s: s.index_select(1, torch.as_tensor(rows, device=s.device)))


def fork(state: State, times: int) -> State:
    """Return every stream `times` times, side by side: (·, B * times, ·)."""
    return _each(state, lambda s: s.repeat_interleave(times, dim=1))


def _each(state: State, function: Callable[[Tensor], Tensor]) -> State:
    if isinstance(state, tuple):
        return tuple(function(s) for s in state)
    return function(state)
