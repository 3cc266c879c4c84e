"""The clock that the times of a table are counted in, and where on a grid each of them is."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recurra.data.dates import Column, Writer
from recurra.data.timestamps import Frequency, Step, find_step
from recurra.errors import InputError

_DAY = 86_400_000_000  # microseconds
#: A grid may have so many empty steps for each row of a file, and `SPARE` in any case.
EMPTY, SPARE = 100, 10_000
#: A step that more rows than this share are off is not theirs.
_STRAY = 0.1


@dataclass(frozen=True)
class Axis:
    """Times of a table's rows as numbers: since 1970 in `unit` (s or us), or as they are ("").

    moments: of each row, None where it has none.
    """

    moments: list[int | None]
    unit: str
    writer: Writer | None

    def times(self, moments: Sequence[int]) -> np.ndarray:
        """Moments (N,) as datetime64 or int64."""
        found = np.array(moments, np.int64)
        return found.astype(f"datetime64[{self.unit}]") if self.unit else found

    def shown(self, moment: int) -> str:
        """A time as it stands in the file."""
        times = self.times([moment])
        return self.writer.write(times)[0] if self.writer else str(times[0])


def numbered(names: Sequence[str | None]) -> Axis:
    """Rows numbered as they come, those of each series (by its name) for themselves."""
    counts: Counter[str | None] = Counter()
    moments: list[int | None] = []
    for name in names:
        moments.append(counts[name])
        counts[name] += 1
    return Axis(moments, "", None)


def axis(
    column: Column,
    names: Sequence[str | None],
    *,
    like: Step | None = None,
    utc: bool = False,
    freq: Frequency | None = None,
) -> Axis:
    """The times of a column in one clock.

    Where its cells name offsets from UTC, times less than a day apart are counted in UTC, as the
    time between them is; days and more in the clock of the cells, so that a day begins at midnight
    in summer too.

    Args:
        column: what was read.
        names: of the series of each row.
        like: a step that is expected.
        utc: prefer UTC in any case, as models do that were trained before this rule.
        freq: the step that was named, if any.
    """
    local = [None if moment is None else moment[0] for moment in column.moments]
    if column.numbers:
        return Axis(local, "", column.writer)
    writer, moments = column.writer, local
    if writer.offset is not None:
        world = [None if m is None else m[0] - (m[1] or 0) * 60_000_000 for m in column.moments]
        longest = Counter(names).most_common(1)[0][0]
        of_one = (m for m, name in zip(world, names, strict=True) if name == longest)
        times = np.array(sorted({m for m in of_one if m is not None}), "datetime64[us]")
        step = find_step(times) if len(times) > 1 else like
        step = step if freq is None else freq.step
        if step is not None and (_seconds(step) < 86400 or (utc and step.fits(times))):
            moments, writer = world, replace(writer, utc=True)
    fine = freq is not None and freq.step.unit == "microsecond"
    if fine or any(moment is not None and moment % 1_000_000 for moment in moments):
        return Axis(moments, "us", writer)
    return Axis([None if m is None else m // 1_000_000 for m in moments], "s", writer)


def _seconds(step: Step) -> float:
    size = {"second": 1.0, "microsecond": 1e-6}.get(step.unit, 86400.0)
    return step.count * size


def choose_step(times: np.ndarray, like: Step | None) -> Step:
    """The step of sorted times; the expected one where these times alone cannot tell another."""
    found = find_step(times)
    if like is None or found.same_as(like) or not len(times) or not like.fits(times):
        return like if like is not None and found.same_as(like) and like.fits(times) else found
    days = {("second", 86400), ("business", 1)}
    both_days = {(found.unit, found.count), (like.unit, like.count)} == days
    return like if len(times) < 3 or both_days or not found.fits(times) else found


def named_step(
    freq: Frequency | None, axis: Axis, moments: Sequence[int], source: str
) -> Step | None:
    """The step that was named, if any, of which sorted moments (N,) are, but for stray ones.

    Raises:
        InputError: they are of another, or no dates at all.
    """
    if freq is None:
        return None
    cure = "choose another freq, or leave it out"
    if not axis.unit:
        raise InputError(
            f"{source}: freq {freq.alias!r}: expected dates, received numbers of steps: {cure}"
        )
    times = axis.times(moments)
    off = np.flatnonzero(freq.off(times))
    if len(off) > _STRAY * len(times):
        alone = f" (one {find_step(times)} by themselves)" if len(times) > 1 else ""
        raise InputError(
            f"{source}: freq {freq.alias!r}: expected times of one {freq.step}, received "
            f"{len(off)} of {len(times)} that are not, the first "
            f"{axis.shown(moments[int(off[0])])}{alone}: {cure}"
        )
    return freq.step


class Placer:
    """Puts the times of one series after another on the grid of one step.

    Args:
        source: the file, for errors.
        step: of the grid.
        axis: of the times.
        rows: how many the file has.
        tell: what becomes of a row (by its line) that is off the grid.
    """

    def __init__(
        self,
        source: str,
        step: Step,
        axis: Axis,
        rows: int,
        tell: Callable[[int, InputError], None],
    ) -> None:
        self._source, self._step, self._axis, self._tell = source, step, axis, tell
        self._left = SPARE * 100 + EMPTY * rows

    def place(self, moments: Sequence[int], lines: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Which of sorted moments (N,) are on the grid, and their steps after the first of these.

        Raises:
            InputError: many are off the grid, or so far apart that hardly a step has a value.
        """
        times = self._axis.times(moments)
        index = self._step.index(times)
        good = index == np.round(index)
        off = np.flatnonzero(~good).tolist()
        for k in off:
            shown, first = self._axis.shown(moments[k]), self._axis.shown(moments[0])
            found = InputError(
                f"time {shown} is off the grid of one {self._step} from {first}, and so are "
                f"{len(off) - 1} other rows of {len(times)}: give regular times, or number the "
                "rows as they come (--dates order)"
            )
            if len(off) > _STRAY * len(times):
                raise InputError(f"{self._source}, line {lines[k]}: {found}")
            self._tell(lines[k], found)
        kept = np.flatnonzero(good)
        steps = index[kept].astype(np.int64)
        there = kept.tolist()
        self._check_gaps(steps, [lines[k] for k in there], [moments[k] for k in there])
        return kept, steps

    def _check_gaps(self, steps: np.ndarray, lines: Sequence[int], moments: Sequence[int]) -> None:
        span = int(steps[-1]) + 1
        self._left -= span
        if span <= SPARE + EMPTY * len(steps) and self._left >= 0:
            return
        k = int(np.argmax(np.diff(steps))) + 1
        raise InputError(
            f"{self._source}, line {lines[k]}: time {self._axis.shown(moments[k])} comes "
            f"{steps[k] - steps[k - 1]:,} steps of one {self._step} after "
            f"{self._axis.shown(moments[k - 1])} on line {lines[k - 1]}, which leaves {span:,} "
            f"steps for {len(steps):,} values: correct the time, or number the rows as they come "
            "(--dates order)"
        )
