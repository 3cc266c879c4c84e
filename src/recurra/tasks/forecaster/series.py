"""Time series from tables: one row a time, one row a series, or one row a year."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from recurra.checked import checked
from recurra.data.cells import DECIMALS, decimal_comma
from recurra.data.dates import DATES, looks_like_time, read_column
from recurra.data.table_rows import Table, open_table
from recurra.data.timestamps import Frequency, Step
from recurra.errors import InputError
from recurra.tasks.forecaster.panel import Panel, Series
from recurra.tasks.forecaster.series_cells import (
    MEND,
    MISSING,
    TIMES,
    by_rule,
    check_names,
    check_order,
    cure_of,
    guess_layout,
    is_number,
    joined,
    names_of,
    number_of,
    told,
    word_of,
)
from recurra.tasks.forecaster.time_axis import Axis, Placer, axis, choose_step, named_step, numbered

LAYOUTS = ("auto", "long", "wide", "calendar")
RULES = ("keep", "error", "previous", "linear")
_NUMBERS = Step(1, "number")
#: Line, series, values, known and static covariates.
Row = tuple[int, str, list[float], list[float], tuple[float | str, ...]]
#: Line, values and known covariates of each moment.
_Group = dict[int, tuple[int, list[float], list[float]]]


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
    dates: str = "auto",
    decimal: str = "auto",
    encoding: str | None = None,
    freq: str | None = None,
    like: Step | None = None,
    utc: bool = False,
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
        delimiter: between cells; by default tab for .tsv, else the one of , ; tab and | that parts
            the first rows into as many cells each; a space stands for any white space.
        skip_lines: lines above the header.
        dates: how times are written, one of `recurra.data.dates.DATES`. By default the layout that
            reads the whole column; what could be two is asked back.
        decimal: what stands before the fraction of a number, one of `recurra.data.cells.DECIMALS`.
        encoding: of a file that is neither UTF-8 nor has a byte order mark.
        freq: the step, as `recurra.data.timestamps.Frequency` reads it, in place of what is found.
        like: the step that is expected, for files too short to show theirs.
        utc: count days in UTC too where times name their offset from it.

    Returns:
        The series, sorted by time, each on the grid of one step: months that stand at one place of
        their month, days of work, or else the commonest gap of the longest series.

    Raises:
        InputError: file and line, what was expected and received.
    """
    for name, value, allowed in (
        ("layout", layout, LAYOUTS),
        ("missing", missing, RULES),
        ("on_error", on_error, ("raise", "skip")),
        ("dates", dates, DATES),
        ("decimal", decimal, DECIMALS),
    ):
        if value not in allowed:
            raise InputError(f"{name}: expected one of {', '.join(allowed)}, received {value!r}")
    if isinstance(source, Table):
        table, source = source, source.name
    else:
        table = open_table(
            Path(source), delimiter=delimiter, skip_lines=skip_lines, encoding=encoding
        )
    step = None if freq is None else Frequency.of(freq)
    reader = _Reader(table, on_error == "skip", dates, decimal, like, utc, step)
    named = bool(series or time or values or known or static or dates != "auto")
    if layout == "auto":
        layout = guess_layout(table, named)
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
        panel, series=tuple(by_rule(panel, one, missing, source) for one in panel.series)
    )


class _Reader:
    """Rows of a table to series; bad rows raise, or are noted."""

    def __init__(
        self,
        table: Table,
        skip: bool,
        dates: str,
        decimal: str,
        like: Step | None,
        utc: bool,
        freq: Frequency | None,
    ) -> None:
        self._table, self._skip, self._dates, self._decimal = table, skip, dates, decimal
        self._like, self._utc, self._freq = like, utc, freq
        self._skipped: list[str] = []
        self._wrong: dict[int, str] = {}
        for line, fault in table.wrong:
            self._bad(line, InputError(fault))

    def wide(self) -> Panel:
        """A row a series: its id, and its values."""
        found: dict[str, Series] = {}
        check_names(self._table, (), self._table.header[1:])
        if self._dates != "order":
            check_order(self._table)
        named_step(self._freq, numbered([]), [], self._table.name)
        number = self._numbers(range(1, len(self._table.header)))
        for line, cells in self._table.rows:
            try:
                while cells and cells[-1].strip().lower() in MISSING:
                    cells = cells[:-1]
                if len(cells) < 2:
                    raise InputError("expected an id and values, received no value")
                if cells[0] in found:
                    raise InputError(
                        f"series {cells[0]!r}: it was on an earlier row already: expected each "
                        "series once"
                    )
                numbers = [number(cell, f"column {i + 2}") for i, cell in enumerate(cells[1:])]
                found[cells[0]] = Series(cells[0], np.array(numbers)[:, None])
            except InputError as error:
                self._bad(line, error)
        return Panel(tuple(found.values()), ("y",), skipped=tuple(self._skipped))

    def calendar(self) -> Panel:
        """A row a year: its months, or its quarters."""
        header = self._table.header
        number = self._numbers(range(1, len(header)))
        if len(header) - 1 not in (4, 12):
            raise InputError(
                f"{self._table.name}: expected a year and 12 months or 4 quarters a row in the "
                f"layout calendar, received {len(header)} columns: choose another layout"
            )
        months = 12 // (len(header) - 1)
        rows: list[Row] = []
        moments: list[int | None] = []
        for line, cells in self._table.rows:
            for period, cell in enumerate(cells[1 : len(header)]):
                try:
                    year = int(cells[0]) if re.fullmatch(r"\d{4}", cells[0].strip()) else 0
                    if not year:
                        raise InputError(f"expected a year, received {cells[0]!r}")
                    value = [number(cell, header[period + 1])]
                    moments.append((year - 1970) * 12 + months * period)
                    rows.append((line, "", value, [], ()))
                except InputError as error:
                    self._bad(line, error)
        firsts = np.array(moments, "datetime64[M]").astype("datetime64[s]").astype(np.int64)
        return self._gathered(rows, Axis(firsts.tolist(), "s", None), ("y",), (), ())

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
        at = {name: index for index, name in enumerate(table.header)}
        unknown = [name for name in named if name not in at]
        if unknown:
            raise InputError(
                f"{table.name}: no column {', '.join(unknown)}; there are {names_of(table.header)}"
            )
        taken = set(named)
        free = [n for n in table.header if n not in taken]
        if not time:
            begin = dict(zip(table.header, table.first, strict=False))
            likely = (name for name in free if name in begin and self._likely(name, begin[name]))
            alone = self._dates == "order" and len(free) == 1 and not values
            time = tuple(islice(likely, 1)) or (() if alone else tuple(free[:1]))
        values = values or tuple(n for n in free if n not in time)
        if not values or not (time or self._dates == "order"):
            raise InputError(
                f"{table.name}: expected a column of times and one of values at least, received "
                f"{names_of(table.header)}: add times, or number the rows as they come "
                "(--dates order)"
            )
        check_names(table, time, values)
        used = {*filter(None, (series,)), *time, *values, *known, *static}
        double = [name for name, n in Counter(table.header).items() if n > 1 and name in used]
        if double:
            raise InputError(f"{table.name}: the column {double[0]!r} appears twice: rename one")
        whole = [(line, cells) for line, cells in table.rows if len(cells) == len(at)]
        axis = self._axis(
            whole, [at[n] for n in time], time, None if series is None else at[series]
        )
        number = self._numbers([at[name] for name in (*values, *known)])
        rows: list[Row] = []
        moments: list[int | None] = []
        stamps = iter(axis.moments)
        for line, cells in table.rows:
            try:
                if len(cells) != len(at):
                    raise InputError(f"expected {len(at)} cells, received {len(cells)}")
                moment = next(stamps)
                if moment is None:
                    raise InputError(self._wrong[line])
                numbers = [number(cells[at[name]], name) for name in values]
                ahead = [number(cells[at[name]], name) for name in known]
                if np.isnan(ahead).any():
                    raise InputError("a known covariate is missing: expected a number in each")
                fixed = tuple(word_of(cells[at[name]], name) for name in static)
                rows.append((line, cells[at[series]] if series else "", numbers, ahead, fixed))
                moments.append(moment)
            except InputError as error:
                self._bad(line, error, cure=cure_of(error, table, (*values, *known)))
        return self._gathered(rows, replace(axis, moments=moments), values, known, static)

    def _axis(
        self,
        rows: list[tuple[int, list[str]]],
        places: list[int],
        names: tuple[str, ...],
        series: int | None,
    ) -> Axis:
        """The times of rows that are whole; `_wrong` says by line what cannot be read."""
        of = [None if series is None else cells[series] for _, cells in rows]
        if self._dates == "order":
            return numbered(of)
        column = read_column(
            [joined([cells[k] for k in places], names) for _, cells in rows],
            how=self._dates,
            numbers=self._like is not None and self._like.unit == "number",
            where=lambda row: f"{self._table.name}, line {rows[row][0]}",
        )
        self._wrong = {rows[row][0]: fault for row, fault in column.wrong.items()}
        return axis(column, of, like=self._like, utc=self._utc, freq=self._freq)

    def _likely(self, name: str, cell: str) -> bool:
        """Whether a column may be that of the times, by its name and first cell."""
        named = name.strip().lower() in TIMES
        if self._dates == "order":
            return named or not is_number(cell)
        return named or looks_like_time(cell)

    def _numbers(self, places: Iterable[int]) -> Callable[[str, str], float]:
        """What makes a number of a cell: some columns show whether a comma is its point."""
        rows = self._table.rows
        some = list(places)
        cells = (cells[k] for k in some for _, cells in rows if k < len(cells))
        if decimal_comma(cells, self._table.name, self._decimal):
            return lambda cell, column: number_of(cell, column, comma=True)
        return number_of

    def _gathered(
        self,
        rows: Iterable[Row],
        axis: Axis,
        columns: tuple[str, ...],
        known: tuple[str, ...],
        static: tuple[str, ...],
    ) -> Panel:
        groups: dict[str, _Group] = {}
        fixed: dict[str, tuple[float | str, ...]] = {}
        for moment, (line, name, numbers, ahead, words) in zip(axis.moments, rows, strict=True):
            assert moment is not None
            group = groups.setdefault(name, {})
            try:
                if moment in group:
                    raise InputError(
                        f"time {axis.shown(moment)}: it was on line {group[moment][0]} already: "
                        "expected each time once in a series: name the column of the ids "
                        "(--series-column), or all columns of the time (--time-column year,quarter)"
                    )
                if fixed.setdefault(name, words) != words:
                    raise InputError(
                        f"series {name!r}: static columns change from {told(fixed[name])} to "
                        f"{told(words)}"
                    )
                group[moment] = (line, numbers, ahead)
            except InputError as error:
                self._bad(line, error)
        longest = max(groups.values(), key=len, default={})
        step = choose_step(axis.times(sorted(longest)), self._like) if longest else _NUMBERS
        for group in groups.values():
            step = named_step(self._freq, axis, sorted(group), self._table.name) or step
        count = sum(map(len, groups.values()))
        placer = Placer(self._table.name, step, axis, count, partial(self._bad, cure=""))
        found = [
            self._on_grid(name, group, placer, step, axis, fixed[name])
            for name, group in groups.items()
            if group
        ]
        return Panel(
            tuple(one for one in found if one is not None),
            columns, step, known, static, tuple(self._skipped), axis.writer,
        )  # fmt: skip

    def _on_grid(
        self,
        name: str,
        group: "_Group",
        placer: Placer,
        step: Step,
        axis: Axis,
        static: tuple[float | str, ...],
    ) -> Series | None:
        moments = sorted(group)
        kept, places = placer.place(moments, [group[moment][0] for moment in moments])
        rows = [group[moments[k]] for k in kept]
        begin = axis.times([moments[kept[0]]])[0]
        values = np.full((places[-1] + 1, len(rows[0][1])), np.nan)
        values[places] = [row[1] for row in rows]
        known = np.full((places[-1] + 1, len(rows[0][2])), np.nan)
        known[places] = [row[2] for row in rows]
        if np.isnan(known).any():
            absent = step.after(begin, len(known))[np.isnan(known).any(1)][0]
            self._bad(
                rows[0][0],
                InputError(
                    f"series {name!r}: expected known covariates at every step, received none at "
                    f"{absent}: add a row with them"
                ),
                cure="",
            )
            return None
        present = np.flatnonzero(~np.isnan(values).all(axis=1))
        if not len(present):
            self._bad(rows[0][0], InputError(f"series {name!r}: expected values, all are missing"))
            return None
        first, last = present[0], present[-1] + 1
        start = step.after(begin, first + 1)[-1]
        return Series(name, values[first:last], start, known[first:], static)

    def _bad(self, line: int, error: Exception, *, cure: str = MEND) -> None:
        text = f"{self._table.name}, line {line}: {error}"
        if not self._skip:
            raise InputError(text + cure) from error
        self._skipped.append(text)
