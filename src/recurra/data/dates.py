"""Dates and times as people write them: the layout of a column is found, read and written.

A column has one layout, which must read all of it; a single cell proves nothing. `01/02/2024` is
the first of February or the second of January: the other rows say which, or else the person is
asked. Nothing is guessed.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from recurra.data.layouts import (
    DAY,
    EPOCH,
    FORMS,
    MONTHS,
    NUMBER,
    SAMPLE,
    Form,
    Moment,
    read_cell,
    style_of,
)
from recurra.errors import InputError

#: What a person may say of a column of times: `order` numbers the rows as they come, `numbers`
#: takes whole numbers as they are, `unix` and `unix-ms` count seconds and milliseconds since 1970.
DATES = ("auto", "day-first", "month-first", "unix", "unix-ms", "numbers", "order")
_UNIX = {"unix": 1_000_000, "unix-ms": 1_000}
_HINT = (
    "expected an ISO date or time, 31/01/2024, 01/31/2024 2:30 PM, 31 Jan 2024, a year, 2016-07, "
    "20160701, 2016Q3, Jul 2016, 2024-W05, or a number of steps"
)


@dataclass(frozen=True)
class Writer:
    """Writes times as the cells of a column were written.

    order: `day-first` or `month-first` where the layout has one of them. offset: minutes that the
    last cell was ahead of UTC, None where cells name no offset. utc: whether the times given are
    of UTC rather than of the cells' clock.
    """

    form: Form
    style: dict[str, str | int | bool] = field(default_factory=dict)
    offset: int | None = None
    utc: bool = False

    @property
    def order(self) -> str:
        """Which of day and month comes first, where both are numbers behind which a year stands."""
        return self.form.order

    def iso(self) -> "Writer":
        """What writes the same times as ISO 8601 has them."""
        if self.form is NUMBER:
            return self
        style = {**self.style, "s": "-", "padded": True, "hours": True, "colon": ":", "p": ""}
        if "sep" in style:
            style.update(sep="T", point=".", places=max(2, int(style.get("places", 1))))
        if self.offset:
            style["z"] = "+00:00"
        iso = Form("an ISO date or time", "Y~m=d", timed=True)
        return replace(self, form=iso, style=style)

    def write(self, times: np.ndarray) -> tuple[str, ...]:
        """Times (N,), datetime64 or numbers, as text."""
        if times.dtype.kind != "M":
            return tuple(str(int(time)) for time in times)
        moments = times.astype("datetime64[us]").astype(np.int64)
        if self.utc and self.offset:
            moments = moments + self.offset * 60_000_000
        return tuple(self._one(int(moment)) for moment in moments)

    def _one(self, moment: int) -> str:
        style = self.style
        if "unix" in style:
            return str(moment // int(style["unix"]))
        days, rest = divmod(moment, DAY)
        day = np.datetime64(days, "D")
        year = int(day.astype("datetime64[Y]").astype(np.int64)) + 1970
        month = int(day.astype("datetime64[M]").astype(np.int64)) % 12 + 1
        number = int((day - day.astype("datetime64[M]")).astype(np.int64)) + 1
        week = date.fromordinal(days + EPOCH).isocalendar() if "W" in self.form.template else None
        wide = 2 if style.get("padded") else 1
        name = MONTHS[month - 1] if style.get("full") else MONTHS[month - 1][:3]
        case = style.get("case")
        name = name.upper() if case == "upper" else name if case == "lower" else name.capitalize()
        parts = {
            "Y": f"{week.year if week else year:04d}", "y": f"{year:04d}", "m": f"{month:0{wide}d}",
            "v": f"{year % 100:02d}",
            "d": f"{number:0{wide}d}", "n": f"{month:02d}", "e": f"{number:02d}", "b": name,
            "Q": f"{style.get('q', 'Q')}{(month - 1) // 3 + 1}", "M": "M", ";": "-",
            "W": f"W{week.week:02d}" if week else "", "u": f"{week.weekday}" if week else "",
            ",": str(style.get("t", "")),
        }  # fmt: skip
        text = "".join(parts.get(s, str(style.get("s", ""))) for s in self.form.template)
        return text + (self._time(rest) if "sep" in style else "")

    def _time(self, rest: int) -> str:
        style = self.style
        seconds, micro = divmod(rest, 1_000_000)
        hour, minute, second = seconds // 3600, seconds // 60 % 60, seconds % 60
        half = str(style.get("p", ""))
        if half:
            told = "pm" if hour >= 12 else "am"
            hour = hour % 12 or 12
            half = "".join(
                (told[0] if s in "aApP" else told[1]).upper() if s.isupper() else
                (told[0] if s in "aApP" else told[1]) if s.isalpha() else s
                for s in half
            )  # fmt: skip
        text = f"{style['sep']}{hour:0{2 if style.get('hours') else 1}d}"
        colon = style.get("colon", ":")
        places = int(style.get("places", 1))
        if places > 1:
            text += f"{colon}{minute:02d}"
        if places > 2:
            text += f"{colon}{second:02d}"
        digits = int(style.get("digits", 0))
        if digits:
            text += f"{style['point']}{f'{micro:06d}'.ljust(9, '0')[:digits]}"
        return text + half + self._zone()

    def _zone(self) -> str:
        if self.offset is None:
            return ""
        given = str(self.style.get("z", "Z"))
        if given.strip()[0] not in "+-":
            return given
        ahead = abs(self.offset)
        colon = ":" if ":" in given else ""
        minutes = "" if len(given.strip()) == 3 else f"{colon}{ahead % 60:02d}"
        space = " " if given[0] == " " else ""
        return f"{space}{'-' if self.offset < 0 else '+'}{ahead // 60:02d}{minutes}"


@dataclass(frozen=True)
class Column:
    """The times of a column.

    moments: of each cell, None where it cannot be read. wrong: what is wrong with these, by place.
    writer: how the cells are written, the clock still that of the cells. numbers: whether they are
    numbers of steps: a moment's first part is one then.
    """

    moments: list[Moment | None]
    wrong: dict[int, str]
    writer: Writer
    numbers: bool


def looks_like_time(cell: str) -> bool:
    """Whether one cell can be read as a time, or a number of steps."""
    cell = cell.strip()
    return any(read_cell(form, cell) is not None for form in (*FORMS, NUMBER))


def read_column(
    cells: Sequence[str],
    *,
    how: str = "auto",
    numbers: bool = False,
    where: Callable[[int], str] = lambda row: f"row {row + 1}",
) -> Column:
    """Read the times of one column.

    Args:
        cells: as they stand in the file.
        how: one of `DATES`, but not `order`.
        numbers: prefer whole numbers where the cells could be years or dates too.
        where: names the place of a cell, for errors.

    Raises:
        InputError: nothing in the column says whether the day or the month comes first.
    """
    cells = [cell.strip() for cell in cells]
    if how in _UNIX:
        return _unix(cells, how)
    forms = [f for f in FORMS if how not in ("day-first", "month-first") or f.order in ("", how)]
    forms = [NUMBER, *forms] if numbers else [*forms, NUMBER]
    forms = [NUMBER] if how == "numbers" else forms
    sample = list(dict.fromkeys(cells))[:SAMPLE]
    counts = [sum(read_cell(form, cell) is not None for cell in sample) for form in forms]
    left = [form for form, n in zip(forms, counts, strict=True) if n == max(counts) > 0]
    moments: list[Moment | None] = []
    wrong: dict[int, str] = {}
    seen: dict[str, dict[Form, Moment]] = {}
    for row, cell in enumerate(cells):
        found = seen.get(cell)
        if found is None:
            read = ((form, read_cell(form, cell)) for form in left)
            seen[cell] = found = {form: moment for form, moment in read if moment is not None}
        if not any(form in found for form in left):
            expected = f"expected {left[0].name}, as in other rows" if left else _HINT
            if left and left[0].order:
                _check_order(left[0], cell, where(row))
            fine = re.search(r"[.,]\d{7,}", cell)
            if fine:
                expected += "; no fraction of a second finer than a microsecond is read"
            shown = cell if len(cell) <= 40 else cell[:40] + " …"
            wrong[row] = f"time {shown!r}: {expected}"
            continue
        left = [form for form in left if form in found]
    if not left:
        return Column([None] * len(cells), wrong, Writer(NUMBER), numbers=True)
    chosen = left[0]
    for other in left[1:]:
        if chosen.order and other.order:
            _ask(cells, seen, chosen, other, where)
    moments = [None if row in wrong else seen[cell][chosen] for row, cell in enumerate(cells)]
    _check_offsets(cells, moments, wrong)
    good = list(dict.fromkeys(c for c, m in zip(cells, moments, strict=True) if m is not None))
    last = next((m for m in reversed(moments) if m is not None), (0, None))
    writer = Writer(chosen, style_of(chosen, good), last[1])
    return Column(moments, wrong, writer, numbers=chosen is NUMBER)


def _check_order(form: Form, cell: str, place: str) -> None:
    """Raise where a cell that `form` cannot read has day and month the other way round: then no
    cell can be relied on, those that either order reads least of all."""
    for other in FORMS:
        if other.order not in ("", form.order) and read_cell(other, cell) is not None:
            raise InputError(
                f"{place}: time {cell!r} has the {other.order.split('-')[0]} first, other rows the "
                f"{form.order.split('-')[0]}: write all of them as 2024-01-31"
            )


def _ask(
    cells: Iterable[str],
    seen: dict[str, dict[Form, Moment]],
    one: Form,
    other: Form,
    where: Callable[[int], str],
) -> None:
    """Raise where two layouts read every cell, and some of them differently."""
    for row, cell in enumerate(cells):
        found = seen[cell]
        if one in found and other in found and found[one] != found[other]:
            raise InputError(
                f"{where(row)}: time {cell!r}: the day or the month first? No row of the file "
                "says: choose --dates day-first or --dates month-first"
            )


def _check_offsets(
    cells: Sequence[str], moments: list[Moment | None], wrong: dict[int, str]
) -> None:
    """Cells with an offset from UTC and cells without cannot be compared: the fewer are wrong."""
    given = [m is not None and m[1] is not None for m in moments]
    bare = [m is not None and m[1] is None for m in moments]
    if not any(given) or not any(bare):
        return
    few, expected = (bare, "an") if sum(bare) <= sum(given) else (given, "no")
    for row, odd in enumerate(few):
        if odd:
            wrong[row] = (
                f"time {cells[row]!r}: expected {expected} offset from UTC, as in other rows"
            )
            moments[row] = None


def _unix(cells: Sequence[str], how: str) -> Column:
    moments: list[Moment | None] = []
    wrong: dict[int, str] = {}
    size = _UNIX[how]
    for row, cell in enumerate(cells):
        found = re.fullmatch(r"-?\d{1,17}(?:\.\d{1,6})?", cell)
        moment = None
        if found:
            whole, _, part = cell.partition(".")
            sign = -1 if whole.startswith("-") else 1
            moment = int(whole) * size + sign * int(part.ljust(6, "0") or 0) * size // 1_000_000
        # Years 1 to 9999, as dates that are written out.
        if moment is None or not -62_135_596_800 <= moment // 1_000_000 < 253_402_300_800:
            unit = "seconds" if how == "unix" else "milliseconds"
            wrong[row] = f"time {cell[:40]!r}: expected {unit} since 1970"
            moments.append(None)
        else:
            moments.append((moment, None))
    return Column(moments, wrong, Writer(NUMBER, {"unix": size}), numbers=False)
