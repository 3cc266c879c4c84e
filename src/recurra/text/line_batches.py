"""Independent lines in batches of similar length."""

from __future__ import annotations

import numpy as np

from recurra.errors import InputError
from recurra.text.batch import Batch, Batches, check_sizes
from recurra.text.token_file import TokenFile

POOL = 64  # batches whose lines are sorted by length together


class LineBatches(Batches):
    """Each line of a token file written with lines, once an epoch, `batch` lines at a time.

    A row is one line: its inputs are `<eos>` and the line, its targets the line and `<eos>`;
    shorter rows are padded on the right, and masked there. One batch has the lines that are left.

    bptt: cut a batch into segments of so many steps; the state is carried into all but the first.
    None: whole lines. shuffle: another order each epoch by f(seed, epoch), lines of similar length
    together; False keeps the order of the file.
    rank, world: this process reads the rows rank, rank + world, … of each batch. All ranks have
    batches of the same shape; where the last batch cannot be divided, rows that are wholly masked
    fill it up. `predictions` counts the tokens an epoch predicts, all ranks together.
    Raises InputError where the file has no lines or the sizes make no batches.
    """

    def __init__(
        self,
        tokens: TokenFile,
        *,
        batch: int,
        bptt: int | None = None,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
    ) -> None:
        check_sizes(batch=batch, bptt=bptt, seed=seed, epoch=epoch, rank=rank, world=world)
        if tokens.line_starts is None:
            raise InputError(
                f"{tokens.path}: the token file has no lines: write it with lines=True"
            )
        self._data = tokens.data
        self._starts = tokens.line_starts
        self._batch, self._rank, self._world = batch, rank, world
        lengths = np.diff(self._starts).astype(np.int32)
        count = len(lengths)
        groups = -(-count // batch)
        self._lines = np.arange(count, dtype=np.int32)
        self._groups = np.arange(groups)
        if shuffle:
            random = np.random.default_rng([seed, epoch])
            self._lines = _pools(random.permutation(self._lines), lengths, POOL * batch)
            self._groups = random.permutation(groups)
        longest = np.maximum.reduceat(lengths[self._lines], np.arange(0, count, batch))
        self._steps = longest[self._groups]
        self._bptt = bptt or int(longest.max())
        self._ends = np.cumsum(-(-self._steps // self._bptt))
        self.predictions = int(lengths.sum())

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _read(self, index: int) -> Batch:
        place = int(np.searchsorted(self._ends, index, side="right"))
        segment = index - (int(self._ends[place - 1]) if place else 0)
        begin = segment * self._bptt
        steps = np.arange(begin, min(begin + self._bptt, self._steps[place]))
        first = self._groups[place] * self._batch
        group = self._lines[first : first + self._batch]
        lines = group[self._rank :: self._world]
        starts = np.zeros(-(-len(group) // self._world), np.int64)
        lengths = np.zeros_like(starts)
        starts[: len(lines)] = self._starts[lines]
        lengths[: len(lines)] = self._starts[lines + 1] - self._starts[lines]
        mask = steps < lengths[:, None]
        # the file begins with <eos>: that is what stands in the padding
        positions = np.where(mask, starts[:, None] + steps, 0)
        targets = np.where(mask, positions + 1, 0)
        return Batch(
            inputs=self._data[positions].astype(np.int64),
            targets=self._data[targets].astype(np.int64),
            mask=None if mask.all() else mask,
            carry=segment > 0,
        )


def _pools(lines: np.ndarray, lengths: np.ndarray, size: int) -> np.ndarray:
    """The lines, sorted by length within each pool of `size`."""
    parts = [lines[start : start + size] for start in range(0, len(lines), size)]
    return np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
