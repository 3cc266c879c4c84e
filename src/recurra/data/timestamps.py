"""Time stamps: reading the layouts people use, finding the step between them, calendar features."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from recurra.errors import InputError

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    offset = moment.utcoffset()
    return moment.replace(tzinfo=None) - (offset or timedelta())


def _made(pattern: str, build: Callable[[re.Match[str]], datetime]) -> Callable[[str], object]:
    expression = re.compile(pattern, re.IGNORECASE)

    def read(text: str) -> datetime | None:
        found = expression.fullmatch(text)
        try:
            return build(found) if found else None
        except ValueError:  # a 13th month, a 31st of June
            return None

    return read


def _month_name(found: re.Match[str]) -> datetime:
    return datetime(int(found[3]), _MONTHS.index(found[1].lower()) + 1, int(found[2]))


#: By name how a layout is read; the first that reads a column's first stamp must read all of it.
_LAYOUTS: dict[str, Callable[[str], object]] = {
    "a year": _made(r"(1[0-9]{3}|2[0-9]{3})", lambda m: datetime(int(m[1]), 1, 1)),
    "year-month": _made(r"(\d{4})[-/](\d{1,2})", lambda m: datetime(int(m[1]), int(m[2]), 1)),
    "yyyymmdd": _made(
        r"((?:1[0-9]|2[0-9])\d\d)(\d\d)(\d\d)", lambda m: datetime(int(m[1]), int(m[2]), int(m[3]))
    ),
    "year and quarter": _made(
        r"(\d{4})[- ]?Q([1-4])", lambda m: datetime(int(m[1]), 3 * int(m[2]) - 2, 1)
    ),
    "month-day-year": _made(rf"({'|'.join(_MONTHS)})[- ](\d{{1,2}})[- ,]+(\d{{4}})", _month_name),
    "year/month/day": _made(
        r"(\d{4})/(\d{1,2})/(\d{1,2})(?:[ T](\d{1,2}):(\d\d)(?::(\d\d))?)?",
        lambda m: datetime(*(int(part or 0) for part in m.groups())),  # type: ignore[arg-type]
    ),
    "an ISO date or time": _iso,
    "a number of steps": _made(r"-?\d+", lambda m: int(m[0])),  # type: ignore[arg-type,return-value]
}


def find_layout(text: str) -> str:
    """The name of the layout of one time stamp.

    Raises:
        InputError: it has none that is known.
    """
    for name, read in _LAYOUTS.items():
        if read(text.strip()) is not None:
            return name
    raise InputError(
        f"time {text!r}: expected an ISO date or time, a year, 2016-07, 20160701, 2016Q3, "
        "Jul-1-2016 or a number of steps"
    )


def read_time(text: str, layout: str) -> np.datetime64 | int:
    """One time stamp of a column whose layout `find_layout` found; UTC where it names a zone.

    Raises:
        InputError: it has another layout, or is no day of the calendar.
    """
    found = _LAYOUTS[layout](text.strip())
    if found is None:
        raise InputError(f"time {text!r}: expected {layout}, as in the rows before")
    return found if isinstance(found, int) else np.datetime64(found, "s")  # type: ignore[call-overload]


@dataclass(frozen=True)
class Step:
    """The time from one observation to the next: some months, or some seconds, or one number.

    `unit` is `month`, `second` or `number`.
    """

    count: int
    unit: str

    def __str__(self) -> str:
        names = {"month": {12: "year", 3: "quarter", 1: "month"}, "number": {1: "number"}}
        names["second"] = {604800: "week", 86400: "day", 3600: "hour", 60: "minute", 1: "second"}
        for size, name in names[self.unit].items():
            if self.count % size == 0:
                many = self.count // size
                return name if many == 1 else f"{many} {name}s"
        return f"{self.count} {self.unit}s"

    def index(self, times: np.ndarray) -> np.ndarray:
        """How many steps after the first each time is; not whole where it is off the grid."""
        if self.unit == "month":
            months = times.astype("datetime64[M]").astype(np.int64)
            rest = (times - times.astype("datetime64[M]")).astype(np.int64)
            off = rest != rest[:1]
            return (months - months[:1]) / self.count + 0.5 * off
        passed = (times - times[:1]).astype(np.int64)
        return passed / self.count

    def after(self, start: Any, count: int) -> np.ndarray:
        """`start`, a datetime64 or a number, and the times that follow: `count` in all."""
        steps = np.arange(count) * self.count
        if self.unit == "number":
            return int(start) + steps
        if self.unit == "month":
            month = start.astype("datetime64[M]")
            return (month + steps).astype("datetime64[s]") + (start - month.astype("datetime64[s]"))
        return start.astype("datetime64[s]") + steps.astype("timedelta64[s]")

    @property
    def season(self) -> int:
        """The usual season in steps: a day of hours, a week of days, a year of months, else 1."""
        if self.unit == "month":
            return 12 // self.count if self.count < 12 and 12 % self.count == 0 else 1
        if self.unit == "number":
            return 1
        if self.count < 86400:
            return 86400 // self.count if 86400 % self.count == 0 else 1
        return {86400: 7, 604800: 52}.get(self.count, 1)

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return {"count": self.count, "unit": self.unit}


def find_step(times: np.ndarray) -> Step:
    """The step of sorted, distinct times (T,): the commonest gap; months where days of it agree.

    One time alone has a step of one number, or of one second.
    """
    if times.dtype.kind != "M":
        gaps = np.diff(times)
        return Step(_commonest(gaps) if len(gaps) else 1, "number")
    gaps = np.diff(times).astype(np.int64)
    if not len(gaps):
        return Step(1, "second")
    months = times.astype("datetime64[M]")
    within = times - months
    if (within == within[0]).all() and len(gaps) and gaps.min() >= 28 * 86400:
        return Step(_commonest(np.diff(months.astype(np.int64))), "month")
    return Step(_commonest(gaps), "second")


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
