"""Batches of examples of similar length, without the user sorting anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from recurra.errors import InputError
from recurra.text.batch import check_sizes

_POOL = 64  # batches whose examples are sorted by length together


@dataclass(frozen=True, eq=False)
class Rows:
    """The examples of a batch: their indices (B,) int64.

    `count` is how many of them are this rank's own; further ones fill the batch up, so that every
    rank has as many, and are not to be counted. Nothing is carried from batch to batch.
    """

    indices: np.ndarray
    count: int
    carry: bool = False


class LengthBatches(Sequence[Rows]):
    """Every example once an epoch, those of similar length together, in random order.

    Args:
        lengths: of each example (N,), whole numbers from 0 on.
        batch: examples of a batch, of all ranks together; the last batch has what is left.
        seed, epoch: another order for each; a function of them alone.
        shuffle: False keeps the order of the examples.
        budget: at most so many steps in a batch, longest length times examples, where given:
            batches of long examples then have fewer.
        rank, world: this process reads rows rank, rank + world, … of each batch.

    Raises:
        InputError: no examples, or sizes that make no batches.
    """

    def __init__(
        self,
        lengths: np.ndarray | Sequence[int],
        *,
        batch: int,
        seed: int = 0,
        epoch: int = 0,
        shuffle: bool = True,
        budget: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        check_sizes(batch=batch, bptt=None, seed=seed, epoch=epoch, rank=rank, world=world)
        if budget is not None and budget < 1:
            raise InputError(f"budget={budget}: expected at least one step a batch")
        sizes = np.asarray(lengths, np.int64)
        if sizes.size == 0:
            raise InputError("examples: expected at least one, received none: give more data")
        self._rank, self._world = rank, world
        self._order = np.arange(len(sizes))
        random = np.random.default_rng([seed, epoch])
        if shuffle:
            shuffled, pool = random.permutation(self._order), _POOL * batch
            parts = [shuffled[start : start + pool] for start in range(0, len(shuffled), pool)]
            # Stable, so that the order among equals is the shuffled one.
            self._order = np.concatenate([p[np.argsort(sizes[p], kind="stable")] for p in parts])
        self._starts = _cut(sizes[self._order], batch, budget, world)
        self._groups = np.arange(len(self._starts) - 1)
        if shuffle:
            self._groups = random.permutation(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> Rows: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rows]: ...
    def __getitem__(self, index: int | slice) -> Rows | list[Rows]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        group = self._groups[position]
        rows = self._order[self._starts[group] : self._starts[group + 1]]
        own = rows[self._rank :: self._world]
        missing = -(-len(rows) // self._world) - len(own)
        return Rows(np.concatenate([own, rows[:missing]]), len(own))


def _cut(lengths: np.ndarray, batch: int, budget: int | None, world: int) -> np.ndarray:
    """Where batches begin and end in the order given: `batch` examples, fewer within a budget."""
    if budget is None:
        return np.append(np.arange(0, len(lengths), batch), len(lengths))
    starts, first, longest = [0], 0, 1
    for place, length in enumerate(lengths):
        longest = max(longest, int(length))
        held = place - first
        if held and (held >= batch or (held % world == 0 and (held + 1) * longest > budget)):
            starts.append(place)
            first, longest = place, max(1, int(length))
    return np.array([*starts, len(lengths)])
