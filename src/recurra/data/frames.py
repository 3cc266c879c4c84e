"""Series in memory, of whatever kind: DataFrames as tables, tensors and generators as arrays."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recurra.data.table_rows import Table
from recurra.errors import InputError
from recurra.given import (
    columns_of,
    is_frame,
    is_path,
    is_series,
    listed,
    path_of,
    plain,
    settled,
)

_EXPECTED = "a file, a DataFrame, or numbers (T,) or (T, C), several of them or by name"


def series_source(source: Any) -> Any:
    """What series are read from: a path, a `Table` of a DataFrame or of a Series with times, or
    arrays as `recurra.tasks.forecaster.panel.Panel.of` takes them.

    Raises:
        InputError: it is none of these.
    """
    if is_path(source):
        return path_of(source, "series", _EXPECTED)
    source = settled(source)
    if is_frame(source):
        return _table(source, type(source).__name__)
    columns = columns_of(source)
    if columns is not None and any(map(_names_times, columns.values())):
        return _table_of(columns, type(source).__name__)
    if is_series(source):
        if _dated(source):
            return _table(source.to_frame("y"), "Series")
        if getattr(getattr(source, "index", None), "nlevels", 1) > 1:
            raise InputError(
                f"series: expected an index of times, received one of {source.index.nlevels} "
                "levels: give a DataFrame with columns of ids, times and values "
                "(.reset_index()), and name the ids with series_column"
            )
        return source.to_numpy()
    if columns is not None:
        return {name: plain(values) for name, values in columns.items()}
    given = plain(source)
    if isinstance(given, np.ndarray) and given.dtype != object and given.ndim:
        return given
    return [plain(one) for one in listed(given, "series", _EXPECTED)]


def _table(frame: Any, name: str) -> Table:
    """The cells of a DataFrame as text, its times first where they are its index."""
    names = list(map(str, frame.columns))
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f"{name}: the column {twice!r} appears twice: rename one")
    if getattr(getattr(frame, "index", None), "nlevels", 1) > 1:
        raise InputError(
            f"{name}: expected an index of times, received one of {frame.index.nlevels} levels: "
            "make columns of them with .reset_index(), and name the ids with series_column"
        )
    columns = [_texts(frame[column]) for column in frame.columns]
    if _dated(frame):
        title = str(frame.index.name or "time")
        names.insert(0, title if title not in names else f"{title} of the index")
        columns.insert(0, _texts(frame.index))
    return _of_columns(name, names, columns)


def _table_of(columns: Mapping[str, Any], name: str) -> Table:
    """The cells of a mapping of columns as text."""
    parts = [listed(columns[n], f"column {n!r}", "a column of values") for n in columns]
    if len(set(map(len, parts))) > 1:
        raise InputError(
            f"{name}: expected columns of one length, received {min(map(len, parts))} to "
            f"{max(map(len, parts))} values: fill the short ones with None"
        )
    return _of_columns(name, list(columns), [_texts(part) for part in parts])


def _of_columns(name: str, names: list[str], columns: list[list[str]]) -> Table:
    rows = [list(row) for row in zip(*columns, strict=True)]
    if not rows:
        raise InputError(f"{name}: expected rows, received none")
    return Table(name, tuple(names), list(enumerate(rows, 1)))


def _names_times(column: Any) -> bool:
    """Whether a column has texts or times, so that it is no series of numbers."""
    if is_frame(column) or is_path(column):
        return False
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiubc":
        return False
    if getattr(column, "shape", (0,)) == () or not hasattr(column, "__len__") or not len(column):
        return False
    first = next(iter(column))
    return isinstance(first, str) or hasattr(first, "year") or isinstance(first, np.datetime64)


def _dated(value: Any) -> bool:
    """Whether the index of a DataFrame or Series is of times."""
    index = getattr(value, "index", None)
    kind = str(getattr(index, "dtype", ""))
    return kind.startswith(("datetime64", "period["))


def _texts(column: Iterable[Any]) -> list[str]:
    """Cells as a file would have them; nothing where a value is missing."""
    cells = list(column)
    there = [cell for cell in cells if not _missing(cell)]
    dates = bool(there) and all(_is_midnight(cell) for cell in there)
    return ["" if _missing(cell) else _text(cell, dates=dates) for cell in cells]


def _text(cell: Any, *, dates: bool) -> str:
    if dates:
        return str(cell.date())
    if hasattr(cell, "item"):
        cell = cell.item()
    return str(int(cell)) if isinstance(cell, bool) else str(cell)


def _is_midnight(cell: Any) -> bool:
    return hasattr(cell, "date") and hasattr(cell, "time") and str(cell.time()) == "00:00:00"


def _missing(cell: Any) -> bool:
    """Whether it is None, NaN, NaT or NA."""
    try:
        return cell is None or bool(cell != cell)
    except (TypeError, ValueError):  # pandas' NA knows no truth
        return True
