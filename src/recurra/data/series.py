"""Time series from tables: one row a time, one row a series, or one row a year."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.checked import checked
from recurra.data.panel import Panel, Series, filled
from recurra.data.table_rows import Table, open_table
from recurra.data.timestamps import Step, find_layout, find_step, read_time
from recurra.errors import InputError

#: Cells that stand for a value nobody measured.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
LAYOUTS = ("auto", "long", "wide", "calendar")
RULES = ("keep", "error", "previous", "linear")
_PERIODS = {
    12: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    4: ["q1", "q2", "q3", "q4"],
}

#: Line, series, time, values, known and static covariates.
Row = tuple[int, str, Any, list[float], list[float], tuple[float | str, ...]]


@checked
def read_series(
    source: str | Path | Table,
    *,
    layout: str = "auto",
    series: str | None = None,
    time: str | Sequence[str] | None = None,
    values: Sequence[str] = (),
    known: Sequence[str] = (),
    static: Sequence[str] = (),
    missing: str = "keep",
    on_error: str = "raise",
    delimiter: str | None = None,
    skip_lines: int = 0,
) -> Panel:
    """Read series from a CSV, TSV or Parquet file with a header.

    Args:
        source: the file, or a table in memory.
        layout: `long`, a row a time (and series); `wide`, a row a series, its id first, shorter
            ones padded by empty cells; `calendar`, a row a year with 12 months or 4 quarters;
            `auto` looks at the first rows.
        series: column of the series' id, in `long`; without one the file is one series.
        time: column of the time, by default the first of the others whose first cell is one; or
            two, year and month or quarter.
        values: columns to forecast, by default all others.
        known: columns of covariates known beforehand. Rows at the end of a series with these and
            no values are its future.
        static: columns that do not change within a series: numbers, or words.
        missing: of values that are empty, NA, NaN, null or ?, and of times that are left out:
            `keep` them as NaN, raise an `error`, or fill with the `previous` value or on the
            `linear` way between its neighbours.
        on_error: `raise` at the first bad row, or `skip` bad rows (in `wide`, series) and tell of
            them in `Panel.skipped`.
        delimiter: between cells; by default tab for .tsv, else a comma; a space stands for any
            white space.
        skip_lines: lines above the header.

    Returns:
        The series, sorted by time, each on the grid of the commonest step of the file.

    Raises:
        InputError: file and line, what was expected and received.
    """
    for name, value, allowed in (
        ("layout", layout, LAYOUTS),
        ("missing", missing, RULES),
        ("on_error", on_error, ("raise", "skip")),
    ):
        if value not in allowed:
            raise InputError(f"{name} must be one of {', '.join(allowed)}, received {value!r}")
    if isinstance(source, Table):
        table, source = source, source.name
    else:
        table = open_table(Path(source), delimiter=delimiter, skip_lines=skip_lines)
    reader = _Reader(table, skip=on_error == "skip")
    if layout == "auto":
        layout = _guess(table, bool(series or time or values or known or static))
    if layout == "wide":
        panel = reader.wide()
    elif layout == "calendar":
        panel = reader.calendar()
    else:
        times = (time,) if isinstance(time, str) else tuple(time or ())
        panel = reader.long(series, times, tuple(values), tuple(known), tuple(static))
    if not panel.series:
        raise InputError(f"{source}: expected at least one series, found none")
    return replace(
        panel, series=tuple(_by_rule(panel, one, missing, source) for one in panel.series)
    )


class _Reader:
    """Rows of a table to series; bad rows raise, or are noted."""

    def __init__(self, table: Table, *, skip: bool) -> None:
        self._table, self._skip = table, skip
        self._skipped: list[str] = []

    def wide(self) -> Panel:
        """A row a series: its id, and its values."""
        found: dict[str, Series] = {}
        for line, cells in self._table.rows:
            try:
                while cells and cells[-1].strip().lower() in MISSING:
                    cells = cells[:-1]
                if len(cells) < 2:
                    raise InputError("expected an id and values, found no value")
                if cells[0] in found:
                    raise InputError(f"series {cells[0]!r}: it was on an earlier row already")
                numbers = [_number(cell, f"column {i + 2}") for i, cell in enumerate(cells[1:])]
                found[cells[0]] = Series(cells[0], np.array(numbers)[:, None])
            except InputError as error:
                self._bad(line, error)
        return Panel(tuple(found.values()), ("y",), skipped=tuple(self._skipped))

    def calendar(self) -> Panel:
        """A row a year: its months, or its quarters."""
        header = self._table.header
        rows: list[Row] = []
        for line, cells in self._table.rows:
            for period, cell in enumerate(cells[1:]):
                try:
                    stamp = f"{int(cells[0]):04d}-{1 + period * (12 // (len(header) - 1)):02d}"
                    rows.append(
                        (
                            line,
                            "",
                            read_time(stamp, "year-month"),
                            [_number(cell, header[period + 1])],
                            [],
                            (),
                        )
                    )
                except (InputError, ValueError) as error:
                    self._bad(line, error)
        return self._gathered(rows, ("y",), (), ())

    def long(
        self,
        series: str | None,
        time: tuple[str, ...],
        values: tuple[str, ...],
        known: tuple[str, ...],
        static: tuple[str, ...],
    ) -> Panel:
        """A row a time of a series."""
        table = self._table
        named = tuple(filter(None, (series, *time, *values, *known, *static)))
        unknown = [name for name in named if name not in table.header]
        if unknown:
            raise InputError(
                f"{table.name}: no column {', '.join(unknown)}; there are "
                f"{', '.join(map(repr, table.header))}"
            )
        if not time:
            free = [n for n in table.header if n not in named]
            time = tuple(filter(self._looks_like_time, free))[:1] or tuple(free[:1])
        values = values or tuple(n for n in table.header if n not in (*named, *time))
        if not time or not values:
            raise InputError(f"{table.name}: expected a column of times and one of values at least")
        at = {name: index for index, name in enumerate(table.header)}
        layout = None
        rows: list[Row] = []
        for line, cells in table.rows:
            try:
                if len(cells) != len(at):
                    raise InputError(f"expected {len(at)} cells, received {len(cells)}")
                stamp = _joined([cells[at[name]] for name in time], time)
                layout = layout or find_layout(stamp)
                moment = read_time(stamp, layout)
                numbers = [_number(cells[at[name]], name) for name in values]
                ahead = [_number(cells[at[name]], name) for name in known]
                if np.isnan(ahead).any():
                    raise InputError("a known covariate is missing: they must be complete")
                fixed = tuple(_word(cells[at[name]]) for name in static)
                rows.append(
                    (line, cells[at[series]] if series else "", moment, numbers, ahead, fixed)
                )
            except InputError as error:
                self._bad(line, error)
        return self._gathered(rows, values, known, static)

    def _looks_like_time(self, column: str) -> bool:
        place = self._table.header.index(column)
        try:
            return bool(find_layout(self._table.first[place]))
        except (InputError, IndexError):  # IndexError: the first row is short, or there is none
            return False

    def _gathered(
        self,
        rows: Iterable[Row],
        columns: tuple[str, ...],
        known: tuple[str, ...],
        static: tuple[str, ...],
    ) -> Panel:
        groups: dict[str, dict[Any, tuple[int, list[float], list[float]]]] = {}
        fixed: dict[str, tuple[float | str, ...]] = {}
        for line, name, moment, numbers, ahead, words in rows:
            group = groups.setdefault(name, {})
            try:
                if moment in group:
                    raise InputError(f"time {moment}: it was on line {group[moment][0]} already")
                if fixed.setdefault(name, words) != words:
                    raise InputError(
                        f"series {name!r}: static columns change from {fixed[name]} to {words}"
                    )
                group[moment] = (line, numbers, ahead)
            except InputError as error:
                self._bad(line, error)
        longest = max(groups.values(), key=len, default={})
        step = find_step(np.array(sorted(longest))) if longest else Step(1, "number")
        found = [
            self._on_grid(name, group, step, fixed[name]) for name, group in groups.items() if group
        ]
        return Panel(
            tuple(one for one in found if one is not None),
            columns, step, known, static, tuple(self._skipped),
        )  # fmt: skip

    def _on_grid(
        self,
        name: str,
        group: dict[Any, tuple[int, list[float], list[float]]],
        step: Step,
        static: tuple[float | str, ...],
    ) -> Series | None:
        times = np.array(sorted(group))
        index = step.index(times)
        for moment in times[index != np.round(index)]:
            line = group[moment.item() if times.dtype.kind != "M" else moment][0]
            problem = f"time {moment} is off the grid of one {step} from {times[0]}"
            self._bad(line, InputError(f"{problem}: give regular times, or leave rows out"))
        good = index == np.round(index)
        times, places = times[good], index[good].astype(int)
        rows = [group[t.item() if times.dtype.kind != "M" else t] for t in times]
        values = np.full((places[-1] + 1, len(rows[0][1])), np.nan)
        values[places] = [row[1] for row in rows]
        known = np.full((places[-1] + 1, len(rows[0][2])), np.nan)
        known[places] = [row[2] for row in rows]
        if np.isnan(known).any():
            absent = step.after(times[0], len(known))[np.isnan(known).any(1)][0]
            self._bad(rows[0][0], InputError(f"series {name!r}: no known covariates at {absent}"))
            return None
        present = np.flatnonzero(~np.isnan(values).all(axis=1))
        if not len(present):
            self._bad(rows[0][0], InputError(f"series {name!r}: expected values, all are missing"))
            return None
        first, last = present[0], present[-1] + 1
        start = step.after(times[0], first + 1)[-1]
        return Series(name, values[first:last], start, known[first:], static)

    def _bad(self, line: int, error: Exception) -> None:
        text = f"{self._table.name}, line {line}: {error}"
        if not self._skip:
            raise InputError(text) from error
        self._skipped.append(text)


def _guess(table: Table, named: bool) -> str:
    header = [name.strip().lower()[:3] for name in table.header[1:]]
    if header in _PERIODS.values():
        return "calendar"
    if named or not table.first:
        return "long"
    try:
        find_layout(table.first[0])
    except InputError:
        # An id: of a series, where numbers follow.
        numeric = all(_is_number(cell) for cell in table.first[1:])
        return "wide" if numeric else "long"
    return "long"


def _is_number(cell: str) -> bool:
    try:
        _number(cell, "")
    except InputError:
        return False
    return True


def _joined(cells: Sequence[str], names: Sequence[str]) -> str:
    if len(cells) == 1:
        return cells[0]
    quarter = names[1].strip().lower().startswith("q")
    return f"{cells[0].strip()}Q{cells[1].strip()}" if quarter else "-".join(map(str.strip, cells))


def _number(cell: str, column: str) -> float:
    text = cell.strip()
    if text.lower() in MISSING:
        return float("nan")
    try:
        number = float(text)
    except ValueError:
        number = float("inf")
    if not np.isfinite(number):
        raise InputError(f"{column}: expected a finite number or nothing, received {cell!r}")
    return number


def _word(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _by_rule(panel: Panel, one: Series, rule: str, source: str | Path) -> Series:
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
