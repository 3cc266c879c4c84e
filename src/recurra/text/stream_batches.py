"""A text as contiguous streams, for back-propagation through time in segments."""

from __future__ import annotations

import numpy as np

from recurra.errors import InputError
from recurra.text.batch import Batch, Batches, check_sizes
from recurra.text.token_file import TokenFile

SHORTEST = 5  # steps of a random segment, as in Merity et al.
DRAWS = 1 << 12


class StreamBatches(Batches):
    """The text cut into `batch` streams side by side, read in segments of `bptt` steps.

    Each stream continues where it stopped, so the state is carried from batch to batch; only the
    first batch of an epoch has `carry=False`. The last segment has what is left, 1 to `bptt` steps.
    Of n tokens, n - 1 can be predicted; an epoch predicts each of them once, but for those before
    its offset and a remainder of fewer than `batch` at the end. The offset is 0 in epoch 0, then
    below `bptt` (and a stream's length) by f(seed, epoch), so that segments meet elsewhere.

    random_lengths: segments of about N(bptt, 5) steps, one in twenty of N(bptt / 2, 5), at least 5
    (Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models").
    rank, world: this process reads the streams rank, rank + world, …: batch / world rows.
    whole: for evaluation: no offset, and streams differ in length by one where they must, so
    that each of the n - 1 is predicted; rows that have ended are masked.
    `offset` tells the epoch's, `predictions` the tokens it predicts, all ranks together.
    Raises InputError where the text is too short or the sizes make no batches.
    """

    def __init__(
        self,
        tokens: TokenFile | np.ndarray,
        *,
        batch: int,
        bptt: int,
        seed: int = 0,
        epoch: int = 0,
        random_lengths: bool = False,
        rank: int = 0,
        world: int = 1,
        whole: bool = False,
    ) -> None:
        check_sizes(batch=batch, bptt=bptt, seed=seed, epoch=epoch, rank=rank, world=world)
        self._data = tokens.data if isinstance(tokens, TokenFile) else np.asarray(tokens)
        count = len(self._data)
        if count < 2 * batch:
            advice = f"lower batch to {count // 2} or less, or " if count > 1 else ""
            raise InputError(
                f"the text has {count} tokens, and batch={batch} streams side by side need "
                f"at least {2 * batch}: {advice}give more text"
            )
        random = np.random.default_rng([seed, epoch])
        limit = 1 if whole or epoch == 0 else min(bptt, (count - 1) // batch)
        self.offset = int(random.integers(limit))
        length, longer = divmod(count - 1 - self.offset, batch)
        longer = longer if whole else 0
        rows = np.arange(rank, batch, world)
        self._starts = self.offset + rows * length + np.minimum(rows, longer)
        self._lengths = length + (rows < longer)
        steps = length + (longer > 0)
        self._ends = _random_ends(steps, bptt, random) if random_lengths else _ends(steps, bptt)
        self.predictions = length * batch + longer

    def __len__(self) -> int:
        return len(self._ends)

    def _read(self, index: int) -> Batch:
        begin = int(self._ends[index - 1]) if index else 0
        steps = np.arange(begin, self._ends[index])
        mask = None
        if steps[-1] >= self._lengths.min():
            mask = steps < self._lengths[:, None]
        positions = self._starts[:, None] + steps
        if mask is not None:
            positions = np.where(mask, positions, 0)
        return Batch(
            inputs=self._data[positions].astype(np.int64),
            targets=self._data[positions + 1].astype(np.int64),
            mask=mask,
            carry=index > 0,
        )


def _ends(steps: int, bptt: int) -> np.ndarray:
    """Where the segments of a stream end, (segments,)."""
    return np.minimum(np.arange(bptt, steps + bptt, bptt), steps)


def _random_ends(steps: int, bptt: int, random: np.random.Generator) -> np.ndarray:
    """Where segments of random length end, (segments,)."""
    parts: list[np.ndarray] = []
    reached = 0
    while reached < steps:
        mean = np.where(random.random(DRAWS) < 0.95, bptt, bptt / 2)
        drawn = np.maximum(random.normal(mean, 5).astype(np.int64), min(SHORTEST, bptt))
        parts.append(reached + np.cumsum(drawn))
        reached = int(parts[-1][-1])
    ends = np.concatenate(parts)
    return np.append(ends[ends < steps], steps)
