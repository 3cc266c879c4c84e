"""The step between observations: finding it, counting with it, calendar features."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief

#: Where in its month each time of a series of months stands: on the day of the first one, on a day
#: that some months lack (their last one then), or on the first or last day that is no weekend's.
ANCHORS = ("", "29", "30", "end", "first business day", "last business day")
#: By unit: more than a step can count between two times that files may hold.
_LIMITS = {
    "month": 12 * 10_000,
    "business": 366 * 10_000,
    "second": 366 * 10_000 * 86400,
    "microsecond": 366 * 10_000 * 86400 * 1_000_000,
    "number": 1 << 63,
}
_DAY = 86400
#: Holidays move the last trading day of a month by no more days than this.
_NEAR = 4
#: Share of the rows that shows where months stand, in spite of others.
_MOST = 0.9


@dataclass(frozen=True)
class Step:
    """The time from one observation to the next: some months, days of work, seconds, or numbers.

    `unit` is `month`, `business` (Monday to Friday), `second`, `microsecond` or `number`. `anchor`
    is one of `ANCHORS`, for months.
    """

    count: int
    unit: str
    anchor: str = ""

    def __str__(self) -> str:
        names = {
            "month": {12: "year", 3: "quarter", 1: "month"},
            "number": {1: "number"},
            "business": {1: "business day"},
            "second": {604800: "week", 86400: "day", 3600: "hour", 60: "minute", 1: "second"},
            "microsecond": {1_000_000: "second", 1000: "millisecond", 1: "microsecond"},
        }[self.unit]
        size, name = next((s, n) for s, n in names.items() if self.count % s == 0)
        many = self.count // size
        told = name if many == 1 else f"{many} {name}s"
        if self.anchor == "end":
            return f"{told} end" if many == 1 else f"{told}, at their end"
        if self.anchor.isdigit():
            return f"{told}, on day {self.anchor}"
        return f"{told}, on its {self.anchor}" if self.anchor else told

    def __repr__(self) -> str:
        # Runs of before there were anchors are told apart by this text.
        anchor = f", anchor={self.anchor!r}" if self.anchor else ""
        return f"Step(count={self.count!r}, unit={self.unit!r}{anchor})"

    def index(self, times: np.ndarray) -> np.ndarray:
        """How many steps after the first each time is; not whole, or NaN, where off the grid."""
        if self.unit == "month":
            months = times.astype("datetime64[M]")
            passed = (months - months[:1]).astype(np.int64)
            return np.where(self._off(times), np.nan, passed / self.count)
        if self.unit == "business":
            days = times.astype("datetime64[D]")
            # Whole where both are days of work at the same time of the day.
            off = ~np.is_busday(days) | (_clock(times) != _clock(times[:1]))
            return np.where(off, np.nan, np.busday_count(days[0], days) / self.count)
        return (times - times[:1]).astype(np.int64) / self._size(times)

    def after(self, start: Any, count: int, *, first: int = 0) -> np.ndarray:
        """`start`, a datetime64 or a number, and the times that follow: `count` in all, from the
        `first` step after it on."""
        steps = np.arange(first, first + count) * self.count
        if self.unit == "number":
            if int(start) + (first + count) * self.count >= 1 << 63:
                raise InputError(
                    f"times: {first + count:,} steps of {self.count} after {int(start)} are more "
                    "than 64 bits can count: give smaller numbers"
                )
            return int(start) + steps
        if self.unit == "microsecond":
            return start.astype("datetime64[us]") + steps.astype("timedelta64[us]")
        if np.datetime_data(start)[0] != "us":
            start = start.astype("datetime64[s]")
        day = start.astype("datetime64[D]")
        if self.unit == "month":
            month = start.astype("datetime64[M]")
            days = _days_of(month + steps, self.anchor, day - month.astype("datetime64[D]"))
            return days.astype(start.dtype) + (start - day)
        if self.unit == "business":
            days = np.busday_offset(day, steps, roll="forward")
            return days.astype(start.dtype) + (start - day)
        return start + steps.astype("timedelta64[s]")

    @property
    def season(self) -> int:
        """The usual season in steps: a day of hours, a week of days, a year of months, else 1."""
        if self.unit == "month":
            return 12 // self.count if self.count < 12 and 12 % self.count == 0 else 1
        if self.unit == "business":
            return 5 if self.count == 1 else 1
        if self.unit in ("number", "microsecond"):
            return 1
        if self.count < _DAY:
            return _DAY // self.count if _DAY % self.count == 0 else 1
        return {_DAY: 7, 604800: 52}.get(self.count, 1)

    def fits(self, times: np.ndarray) -> bool:
        """Whether all of sorted times (T,) are on the grid from the first one."""
        if (self.unit == "number") != (times.dtype.kind != "M"):
            return False
        index = self.index(times)
        return bool((index == np.round(index)).all())

    def same_as(self, other: "Step") -> bool:
        """Whether it is as long; where in a month its times stand does not count."""
        return (self.count, self.unit) == (other.count, other.unit)

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        anchor = {"anchor": self.anchor} if self.anchor else {}
        return {"count": self.count, "unit": self.unit, **anchor}

    @classmethod
    def from_json(cls, values: Any) -> "Step":
        """The step that `to_json` wrote; ValueError for anything else."""
        anchor = values.get("anchor", "") if isinstance(values, dict) else None
        if anchor not in ANCHORS or values.keys() - {"anchor"} != {"count", "unit"}:
            raise ValueError(f"step: expected count and unit, received {values!r}")
        count, unit = values["count"], values["unit"]
        if unit not in _LIMITS:
            raise ValueError(f"step: expected one of {', '.join(_LIMITS)}, received {unit!r}")
        if type(count) is not int or not 1 <= count < _LIMITS[unit]:
            raise ValueError(f"step: expected a count from 1 to {_LIMITS[unit]}, received {count}")
        return cls(count, unit, anchor)

    def _off(self, times: np.ndarray) -> np.ndarray:
        """Which times are on another day of their month than the anchor says."""
        months, days = times.astype("datetime64[M]"), times.astype("datetime64[D]")
        due = _days_of(months, self.anchor, days[:1] - months[:1].astype("datetime64[D]"))
        off = days != due
        if self.anchor == "last business day":
            off = (days > due) | (days < due - _NEAR)
        elif self.anchor == "first business day":
            off = (days < due) | (days > due + _NEAR)
        return off | (_clock(times) != _clock(times[:1]))

    def _size(self, times: np.ndarray) -> int:
        """A step in the unit of some times."""
        if times.dtype.kind == "M" and np.datetime_data(times.dtype)[0] == "us":
            return self.count if self.unit == "microsecond" else self.count * 1_000_000
        return self.count


#: Steps by their names in pandas; S is a start, E an end, B before it a day of work.
_ALIASES = {
    "us": Step(1, "microsecond"),
    "ms": Step(1000, "microsecond"),
    "s": Step(1, "second"),
    "min": Step(60, "second"),
    "h": Step(3600, "second"),
    "D": Step(_DAY, "second"),
    "B": Step(1, "business"),
    "W": Step(7 * _DAY, "second"),
    **{
        f"{early}{name}{late}": Step(count, "month", anchor)
        for name, count in (("M", 1), ("Q", 3), ("Y", 12))
        for early, late, anchor in (
            ("", "S", ""),
            ("", "E", "end"),
            ("B", "S", "first business day"),
            ("B", "E", "last business day"),
        )
    },
}
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ALIAS = re.compile(r"([0-9]{1,9})?([A-Za-z]+)(?:-([A-Z]{3}))?")


@dataclass(frozen=True)
class Frequency:
    """A step that somebody named, in the offset aliases of pandas: `D`, `2h`, `W-SUN`, `QS-OCT`.

    `weekday` (0 is Monday) is the day that weeks are told to begin on, `month` (0 is January) one
    that quarters or years begin or end in; None leaves that to the times. `first`: on the first of
    their months.
    """

    alias: str
    step: Step
    weekday: int | None = None
    month: int | None = None
    first: bool = False

    @classmethod
    def of(cls, alias: str) -> "Frequency":
        """What an alias means.

        Raises:
            InputError: none is written so.
        """
        read = _ALIAS.fullmatch(alias)
        base = _ALIASES.get(read[2]) if read else None
        if read and base:
            names = _WEEKDAYS if read[2] == "W" else _MONTHS if base.count in (3, 12) else ()
            count = base.count * int(read[1] or 1)
            if 0 < count < _LIMITS[base.unit] and (read[3] is None or read[3] in names):
                place = None if read[3] is None else names.index(read[3])
                if base.unit == "microsecond" and count % 1_000_000 == 0:
                    base, count = Step(1, "second"), count // 1_000_000
                month = base.unit == "month"
                return cls(
                    alias,
                    Step(count, base.unit, base.anchor),
                    weekday=None if month else place,
                    month=place if month else None,
                    first=month and not base.anchor,
                )
        raise InputError(
            f"freq: expected one of {', '.join(_ALIASES)}, with a number before it where it is "
            f"several (2h), a weekday behind W (W-SUN), a month behind quarters and years "
            f"(QS-OCT), received {brief(alias)}"
        )

    def off(self, times: np.ndarray) -> np.ndarray:
        """Which of sorted times (T,), datetime64, are not where it has them: (T,) of bool."""
        index = self.step.index(times)
        off = index != np.round(index)
        days, months = times.astype("datetime64[D]"), times.astype("datetime64[M]")
        if self.weekday is not None:
            off = off | ((days.astype(np.int64) + 3) % 7 != self.weekday)
        if self.month is not None:
            cycle = 3 if "Q" in self.alias else 12
            off = off | ((months.astype(np.int64) - self.month) % cycle != 0)
        if self.first:
            off = off | (days != months.astype("datetime64[D]"))
        return np.asarray(off, bool)


def find_step(times: np.ndarray) -> Step:
    """The step of sorted, distinct times (T,).

    Months where each time stands at the same place of its own month; days of work where no time is
    on a weekend that others surround; else the commonest gap. One time alone has a step of one
    number, or of one second.
    """
    gaps = np.diff(times).astype(np.int64)
    if times.dtype.kind != "M":
        return Step(_commonest(gaps) if len(gaps) else 1, "number")
    if not len(gaps):
        return Step(1, "second")
    fine = np.datetime_data(times.dtype)[0] == "us"
    if (_clock(times) == _clock(times[:1])).all():
        days = times.astype("datetime64[D]")
        found = _months(days) or _business(days)
        if found is not None:
            return found
    gap = _commonest(gaps)
    if not fine:
        return Step(gap, "second")
    return Step(gap, "microsecond") if gap % 1_000_000 else Step(gap // 1_000_000, "second")


def _months(days: np.ndarray) -> Step | None:
    """The step of days (T,) that stand at one place of their months."""
    months = days.astype("datetime64[M]")
    passed = np.diff(months.astype(np.int64))
    # Shorter gaps are weeks, or what a day of the month cannot tell from them.
    if passed.min() < 1 or np.diff(days).astype(np.int64).min() < 28 - _NEAR:
        return None
    count = _commonest(passed)
    within = (days - months.astype("datetime64[D]")).astype(np.int64)
    exact = [
        anchor
        for anchor in ("end", "", "29", "30", "last business day", "first business day")
        if (days == _days_of(months, anchor, within[:1])).all()
    ]
    if "end" in exact and (within != within[0]).any():
        return Step(count, "month", "end")
    if "" in exact:
        # A 31st of December is an end that says no more than its date.
        return Step(count, "month", "end" if "end" in exact and within[0] > 27 else "")
    if exact:
        return Step(count, "month", exact[0])
    for anchor in ("end", ""):  # all but stray rows, which are named one by one then
        if (days == _days_of(months, anchor, within[:1])).mean() >= _MOST:
            return Step(count, "month", anchor)
    for anchor in ("last business day", "first business day"):
        step = Step(count, "month", anchor)
        most = (days == _days_of(months, anchor, within[:1])).mean() > 0.5
        if most and step.fits(days.astype("datetime64[s]")):
            return step
    return None


def _business(days: np.ndarray) -> Step | None:
    """A step of one day of work, where the days (T,) show that weekends are left out."""
    gaps = np.diff(days).astype(np.int64)
    weekday = (days.astype(np.int64) + 3) % 7
    over = (weekday[:-1] == 4) & (weekday[1:] == 0) & (gaps == 3)
    if _commonest(gaps) == 1 and weekday.max() < 5 and over.any():
        return Step(1, "business")
    return None


def _days_of(months: np.ndarray, anchor: str, within: np.ndarray) -> np.ndarray:
    """The day of each month that an anchor means; `within`, days after the first, where none."""
    first = months.astype("datetime64[D]")
    last = (months + 1).astype("datetime64[D]") - 1
    if anchor == "end":
        return last
    if anchor == "last business day":
        return np.busday_offset(last, 0, roll="backward")
    if anchor == "first business day":
        return np.busday_offset(first, 0, roll="forward")
    return np.minimum(first + (int(anchor) - 1), last) if anchor else first + within


def _clock(times: np.ndarray) -> np.ndarray:
    return (times - times.astype("datetime64[D]")).astype(np.int64)


def _commonest(gaps: np.ndarray) -> int:
    values, counts = np.unique(gaps, return_counts=True)
    return int(values[np.argmax(counts)])


#: Calendar features by name: the position in a cycle, and the length of it.
_CYCLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "minute": lambda t: (t - t.astype("datetime64[h]")).astype(np.int64) / 3600,
    "hour": lambda t: (t - t.astype("datetime64[D]")).astype(np.int64) / 86400,
    "weekday": lambda t: ((t.astype("datetime64[D]").astype(np.int64) + 3) % 7) / 7,
    "monthday": lambda t: (t.astype("datetime64[D]") - t.astype("datetime64[M]")).astype(int) / 31,
    "yearday": lambda t: (t.astype("datetime64[D]") - t.astype("datetime64[Y]")).astype(int) / 366,
}
CALENDAR = tuple(_CYCLES)


def calendar_features(times: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Sine and cosine of where each time (T,) stands in some cycles: (T, 2 * len(names)).

    Raises:
        InputError: times that are numbers of steps have no calendar.
    """
    if not names:
        return np.zeros((len(times), 0))
    if times.dtype.kind != "M":
        raise InputError(
            f"calendar features {', '.join(names)}: expected dates, received numbers of steps"
        )
    angles = 2 * np.pi * np.stack([_CYCLES[name](times) for name in names], axis=1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
