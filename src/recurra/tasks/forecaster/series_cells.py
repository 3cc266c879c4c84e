"""Cells of tables of series: numbers, words, and what the first row says of a file's layout."""

import re
from collections.abc import Sequence

import numpy as np

from recurra.data.dates import looks_like_time
from recurra.data.table_rows import Table
from recurra.errors import InputError

#: Cells that stand for a value nobody measured.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_PERIODS = {
    12: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    4: ["q1", "q2", "q3", "q4"],
}

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
    if named or not table.first or looks_like_time(table.first[0]):
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
