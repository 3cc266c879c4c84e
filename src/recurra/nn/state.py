"""States are values: what a layer returned can be cut from the graph, selected, forked, fed back.

A state is a tensor (layers * directions, B, ·), or a tuple of such: as layers take and return it.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from recurra.errors import InputError
from recurra.nn.arguments import LayerArguments, states_of
from recurra.ops import Lookup

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


def initial_states(
    layer: LayerArguments,
    given: Tensor | tuple[Tensor, ...] | None,
    data: Tensor | Lookup,
    *,
    unbatched: bool = False,
) -> tuple[Tensor, ...]:
    """Return a layer's initial states (L * D, B, ·): those given, the learnt ones, or
    those that the cell starts from.

    Args:
        layer: whose they are.
        given: as its call has them.
        data: its input (T, B, I).
        unbatched: whether states come without a batch axis.

    Raises:
        InputError: another number of states, or another shape.
    """
    names, sizes, size = layer.cell.states, layer.state_sizes, data.shape[1]
    rows = layer.num_layers * layer.num_directions
    if given is None:
        made = []
        starts = layer.program.first
        for name, width, start in zip(names, sizes, starts, strict=True):
            learnt = getattr(layer, f"initial_{name}")
            if learnt is not None:
                made.append(learnt[:, None].expand(rows, size, width).contiguous())
            elif start:
                made.append(data.new_zeros(rows, size, width).fill_(start))
            else:
                made.append(data.new_zeros(rows, size, width))
        return tuple(made)
    states = states_of(given, names, type(layer).__name__)
    if len(states) != len(names):
        raise InputError(
            f"{type(layer).__name__}: expected {len(names)} initial state(s) "
            f"({', '.join(names)}), received {len(states)}"
        )
    checked = []
    for name, width, state in zip(names, sizes, states, strict=True):
        expected = (rows, width) if unbatched else (rows, size, width)
        if tuple(state.shape) != expected:
            raise InputError(
                f"{type(layer).__name__}: expected the initial state {name} of shape "
                f"{expected}, received {tuple(state.shape)}"
            )
        checked.append(state.unsqueeze(1) if unbatched else state)
    return tuple(checked)
