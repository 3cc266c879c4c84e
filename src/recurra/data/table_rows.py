"""Rows of a table of series as text, with their line numbers: CSV, TSV, white space, Parquet."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from recurra.data.cells import BadRowError, as_utf8, not_utf8, read_bytes, sniff, split_record
from recurra.data.parquet import read_parquet
from recurra.errors import InputError

_TABS = (".tsv", ".tab")


@dataclass(frozen=True)
class Table:
    """Name, header, and (line, cells) of each row that is not empty.

    wrong: line and fault of each row that could not be cut into cells.
    """

    name: str
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    wrong: list[tuple[int, str]] = field(default_factory=list)

    @cached_property
    def first(self) -> list[str]:
        """Cells of the first row."""
        return self.rows[0][1] if self.rows else []


def open_table(
    path: Path,
    *,
    delimiter: str | None = None,
    skip_lines: int = 0,
    encoding: str | None = None,
) -> Table:
    """Read a table with a header.

    Args:
        path: of the file; `.gz` behind its name is unpacked.
        delimiter: between cells; by default found in the first rows. A space: any white space.
        skip_lines: lines above the header.
        encoding: of a file that is neither UTF-8 nor has a byte order mark.

    Raises:
        InputError: there is no such file, it is no text, or has no header.
    """
    data = read_bytes(path)
    inner = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    if inner.lower() in (".parquet", ".pq"):
        names: list[str] = []

        def choose(there: list[str]) -> list[str]:
            names.extend(there)
            return there

        columns = read_parquet(data, path, choose)
        rows = zip(*columns, strict=True)
        cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
        return Table(str(path), tuple(names), list(enumerate(cells, 2)))
    lines = as_utf8(data, path, encoding).split(b"\n")
    at = skip_lines
    while at < len(lines) and not lines[at].strip():
        at += 1
    if at < len(lines) and lines[at].strip().lower().strip(b'"')[:4] == b"sep=":  # for Excel
        delimiter = delimiter or lines[at].strip().strip(b'"')[4:5].decode("ascii", "replace")
        at += 1
    dialect = sniff(lines[at : at + 100], delimiter=delimiter, tab=inner.lower() in _TABS)
    found: list[tuple[int, list[str]]] = []
    wrong: list[tuple[int, str]] = []
    while at < len(lines):
        start, width = at, len(found[0][1]) if found else None
        at += 1
        if not lines[start].strip():
            continue
        try:
            row, at = split_record(lines, start, dialect, width)
        except (BadRowError, UnicodeDecodeError) as error:
            told = not_utf8(lines[start], error) if isinstance(error, UnicodeDecodeError) else error
            if not found:
                raise InputError(f"{path}, line {start + 1}: {told}") from None
            wrong.append((start + 1, str(told)))
            continue
        if any(map(str.strip, row)):
            found.append((start + 1, row))
    if not found:
        raise InputError(f"{path}: expected a header and rows, found nothing")
    return Table(str(path), tuple(found[0][1]), found[1:], wrong)
