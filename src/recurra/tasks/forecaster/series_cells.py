"""Cells of tables of series: numbers, words, and what the first row says of a file's layout."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from recurra.data.dates import looks_like_time, read_column
from recurra.data.table_rows import Table
from recurra.errors import InputError
from recurra.tasks.forecaster.panel import Panel, Series, filled
from recurra.tasks.forecaster.time_axis import axis, choose_step

#: Cells that stand for a value nobody measured.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_PERIODS = {
    12: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    4: ["q1", "q2", "q3", "q4"],
}

#: What mends a bad row.
MEND = ": correct it, or skip bad rows (--skip-bad)"
_LOOKED_AT = 20  # rows that say whether a column is of words

#: Names of a first column that can hold nothing but times.
TIMES = {"date", "time", "datetime", "timestamp", "ds", "day", "month", "year", "week", "quarter"}
#: What could be a date: a year, or numbers with signs between, beside other digits.
_DATELIKE = re.compile(r"\d[-/.: ]\d|(?:1[5-9]|20)\d\d\D*\d|\d\D*(?:1[5-9]|20)\d\d")


def guess_layout(table: Table, named: bool) -> str:
    """`long`, `wide` or `calendar`, by the header and the first row; `named`: columns were named.

    Raises:
        InputError: the first cells seem to be times that cannot be read.
    """
    header = [name.strip().lower()[:3] for name in table.header[1:]]
    if header in _PERIODS.values():
        return "calendar"
    if named or not table.first or len(table.header) < 2 or looks_like_time(table.first[0]):
        return "long"
    # An id: of a series, where numbers follow.
    if not all(is_number(cell) for cell in table.first[1:]):
        return "long"
    if table.header[0].strip().lower() in TIMES or _DATELIKE.search(table.first[0]):
        line = table.rows[0][0]
        raise InputError(
            f"{table.name}, line {line}: {table.first[0]!r} in the column {table.header[0]!r} "
            "looks like a time that cannot be read: write it as 2024-01-31; or number the rows as "
            "they come (--dates order); or, where it names a series whose values follow, say "
            "--layout wide"
        )
    return "wide"


def check_names(table: Table, times: Sequence[str], values: Sequence[str]) -> None:
    """Refuse a first line that is a row already, which would be lost as a header.

    Raises:
        InputError: the names of the columns are themselves times (or an id) and numbers.
    """
    numbers = all(name.strip() and is_number(name) for name in values)
    if not numbers or not all(map(looks_like_time, times)) or _count_up([*times, *values]):
        return
    raise InputError(
        f"{table.name}: expected a first line that names the columns, received "
        f"{names_of([*times, *values])}, which reads as a row: add a line of names above it"
    )


def _count_up(names: Sequence[str]) -> bool:
    """Whether names are whole numbers with one step between them, as pandas numbers columns."""
    if not all(name.strip().isdecimal() for name in names):
        return False
    return len(set(np.diff([int(name) for name in names]).tolist())) <= 1


def check_order(table: Table) -> None:
    """Refuse a header of times that do not follow one another in one step.

    Raises:
        InputError: as said; the values of a row are read from left to right.
    """
    names = table.header[1:]
    if len(names) < 3 or not all(map(looks_like_time, names)) or _count_up(names):
        return
    try:
        clock = axis(read_column(names), [None] * len(names))
    except InputError:  # the day or the month first: either way they are equally regular
        return
    moments = [moment for moment in clock.moments if moment is not None]
    times = clock.times(moments)
    cure = "write the columns in the order of their times, each of them, or number them as they"
    cure += " come (--layout wide --dates order)"
    for k, (one, other) in enumerate(pairwise(moments)):
        if other <= one:
            raise InputError(
                f"{table.name}: expected columns in the order of their times, received "
                f"{names[k + 1]!r} after {names[k]!r}: {cure}"
            )
    step = choose_step(times, None)
    off = np.flatnonzero(step.after(times[0], len(times)) != times)
    if len(off):
        raise InputError(
            f"{table.name}: expected columns with one {step} between them, received "
            f"{names[off[0]]!r} after {names[off[0] - 1]!r}: {cure}"
        )


def cure_of(error: InputError, table: Table, names: Sequence[str]) -> str:
    """What mends a row, of which `error` says what is wrong, or a whole column of words."""
    name = next((n for n in names if str(error).startswith(f"{n}: ")), None)
    place = None if name is None else table.header.index(name)
    some = [cells for _, cells in table.rows[:_LOOKED_AT]]
    if place is None or any(is_number(cells[place]) for cells in some if place < len(cells)):
        return MEND
    return (
        ": name the columns to forecast (--value-columns), that of the ids (--series-column), or "
        "those of words that a series keeps (--static-columns)"
    )


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, or says that there is none."""
    try:
        number_of(cell.replace(",", "."), "")
    except InputError:
        return False
    return True


def joined(cells: Sequence[str], names: Sequence[str]) -> str:
    """One time from the cells of some columns: year, quarter; year, month, day; date, time."""
    if len(cells) == 1:
        return cells[0]
    if names[1].strip().lower().startswith("q"):
        return f"{cells[0].strip()}Q{cells[1].strip().lstrip('qQ')}"
    days = [cell.strip() for cell in cells]
    return f"{days[0]} {days[1]}" if len(days) == 2 and ":" in days[1] else "-".join(days)


def number_of(cell: str, column: str, *, comma: bool = False) -> float:
    """The number in a cell, NaN where it says that there is none; `comma`: 1,5 is one and a half.

    Raises:
        InputError: it is neither.
    """
    text = cell.strip()
    if text.lower() in MISSING:
        return float("nan")
    try:
        if comma and "." in text and "," in text:
            raise ValueError("signs between thousands")
        number = float(text.replace(",", ".") if comma else text)
    except ValueError:
        number = float("inf")
    if not np.isfinite(number):
        shown = cell if len(cell) <= 40 else cell[:40] + " …"
        raise InputError(f"{column}: expected a finite number or nothing, received {shown!r}")
    return number


def word_of(cell: str, column: str) -> float | str:
    """A number or a word; InputError for a number that is not finite."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    if not np.isfinite(number):
        raise InputError(
            f"static column {column}: expected a number or a word, received {cell.strip()!r}"
        )
    return number


def told(words: tuple[float | str, ...]) -> str:
    """Static values as an error shows them."""
    return ", ".join(f"{word:g}" if isinstance(word, float) else repr(word) for word in words)


def names_of(names: Sequence[str]) -> str:
    """Columns' names as an error shows them."""
    some = ", ".join(map(repr, names[:20]))
    return some + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def by_rule(panel: Panel, one: Series, rule: str, source: str | Path) -> Series:
    """A series with its missing values as the setting `missing` has them."""
    holes = np.isnan(one.values)
    if rule == "keep" or not holes.any():
        return one
    if rule == "error":
        row, column = np.argwhere(holes)[0]
        raise InputError(
            f"{source}: series {one.name!r}: {panel.columns[column]} is missing at "
            f"{panel.times(one)[row]}: fill it, or choose missing=keep, previous or linear"
        )
    if rule == "previous":
        return replace(one, values=filled(one.values))
    values, rows = filled(one.values), np.arange(len(one))
    for c in range(values.shape[1]):
        there = ~holes[:, c]
        if there.any():
            values[:, c] = np.interp(rows, rows[there], one.values[there, c])
    return replace(one, values=values)
