"""States of layers: chosen, joined, named, and where they begin anew."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from recurra.errors import InputError
from recurra.runtime.streams import Row

#: One tuple of arrays (B, ·) a layer and direction (forward first), in the order of the cell's
#: states.
States = tuple[tuple[np.ndarray, ...], ...]


class LayersCall(NamedTuple):
    """What layers are given: x (T, B, I) or tokens (T, B), of which one is None; the rest as of
    `RuntimeStack.run`."""

    x: np.ndarray | None
    tokens: np.ndarray | None
    lengths: np.ndarray | None
    states: States | None
    reset: np.ndarray | None


#: See `RuntimeStack.through`.
Instead = Callable[[LayersCall], tuple[np.ndarray, States]]


def pack(row: Row[States], prefix: str = "layers") -> dict[str, np.ndarray]:
    """The states of one sequence as arrays by name."""
    return pack_states(row.alone(select), prefix)


def pack_states(states: States, prefix: str = "layers") -> dict[str, np.ndarray]:
    """States as arrays by name."""
    return {
        f"{prefix}.{k}.{number}": state
        for k, layer in enumerate(states)
        for number, state in enumerate(layer)
    }


def resets_of(
    given: np.ndarray, shape: tuple[int, int], valid: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Resets (T, B) of each direction: backwards an episode begins with its last step."""
    resets = np.asarray(given)
    if resets.dtype != np.bool_ or resets.shape != shape:
        raise InputError(
            f"layers: expected boolean resets of shape {shape}, received {resets.dtype.name} "
            f"{resets.shape}"
        )
    if valid is not None:
        resets = resets & valid
    return resets, np.concatenate((resets[1:], np.zeros_like(resets[:1])))


def select(states: States, rows: np.ndarray) -> States:
    """Return the sequences `rows` (N,) of `states`, in that order; a row may occur repeatedly."""
    return tuple(tuple(s[rows] for s in layer) for layer in states)


def join(states: Sequence[States]) -> States:
    """Return the sequences of several states, one after the other, as one state."""
    return tuple(
        tuple(np.concatenate(parts) for parts in zip(*layer, strict=True))
        for layer in zip(*states, strict=True)
    )
