"""Tables of series that say by their columns what they are."""

from dataclasses import replace
from typing import Any

from recurra.data.table_rows import Table

#: The columns of series, times and values in Nixtla's long format.
_LONG = ("unique_id", "ds", "y")
#: How pandas names an index that has no name, in a file and where it reads one again.
_INDEX = ("", "unnamed: 0")


def recognised(table: Table) -> tuple[Table, dict[str, Any], str]:
    """What a table is, where nothing was said of its columns.

    Returns:
        The table, without a column that only numbers its rows; arguments of `read_series`; and what
        was recognised, in a line: nothing where there was nothing to recognise.
    """
    names = [name.strip().lower() for name in table.header]
    if names and names[0] in _INDEX and len(names) > 2 and _counts(table):
        rest = replace(
            table,
            header=table.header[1:],
            rows=[(line, cells[1:]) for line, cells in table.rows],
        )
        rest, how, told = recognised(rest)
        return (
            rest,
            how,
            "left out the first column, which numbers the rows" + (f"; {told}" if told else ""),
        )
    if set(_LONG) <= set(table.header):
        others = [name for name in table.header if name not in _LONG]
        values = ("y", *others)
        more = f", with {', '.join(others[:5])}" if others else ""
        return (
            table,
            {"series": "unique_id", "time": "ds", "values": values},
            f"read as long: series in unique_id, times in ds, values in y{more}",
        )
    if len(names) == 1 and not _is_number(names[0]) and _numbers_alone(table):
        told = f"read {table.header[0]!r} as one series, its rows numbered: there are no times"
        return table, {"dates": "order"}, told
    return table, {}, ""


def _counts(table: Table) -> bool:
    """Whether the first column is 0, 1, 2, … in order, as an index that pandas writes."""
    return all(
        len(cells) == len(table.header) and cells[0].strip() == str(k)
        for k, (_, cells) in enumerate(table.rows)
    )


def _numbers_alone(table: Table) -> bool:
    cells = [row[0] for _, row in table.rows[:100] if row]
    return any(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
