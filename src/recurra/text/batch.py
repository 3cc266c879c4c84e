"""What one training or evaluation step reads, and the indexing all batch sequences share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from recurra.errors import InputError


@dataclass(frozen=True, eq=False)
class Batch:
    """`B` rows of `T` steps: at each step the input token, and the token to be predicted.

    inputs, targets: (B, T) int64. mask: (B, T) bool, True where the step counts; None where all do.
    What stands under a False is padding. carry: the state flows in from the batch before; where it
    is False every row starts anew.
    """

    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray | None
    carry: bool

    @property
    def count(self) -> int:
        """The number of predictions that count."""
        return self.targets.size if self.mask is None else int(np.count_nonzero(self.mask))


class Batches(Sequence[Batch]):
    """A sequence of batches that are read when they are asked for."""

    @abstractmethod
    def _read(self, index: int) -> Batch:
        """The batch at 0 <= index < len(self)."""

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> list[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | list[Batch]:
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        return self._read(position)


def check_sizes(
    *, batch: int, bptt: int | None, seed: int, epoch: int, rank: int, world: int
) -> None:
    """Refuse what makes no batches. Raises InputError."""
    if seed < 0 or epoch < 0:
        raise InputError(f"seed={seed}, epoch={epoch}: expected numbers from 0 on")
    if batch < 1:
        raise InputError(f"batch={batch}: expected at least one row a batch")
    if bptt is not None and bptt < 1:
        raise InputError(f"bptt={bptt}: expected at least one step a segment")
    if world < 1 or not 0 <= rank < world:
        raise InputError(f"rank={rank}, world={world}: expected 0 <= rank < world")
    if batch % world:
        raise InputError(
            f"batch={batch} cannot be divided among {world} processes: "
            f"choose a multiple of {world}, as {batch + world - batch % world}"
        )
