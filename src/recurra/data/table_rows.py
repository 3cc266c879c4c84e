"""Rows of a table as text, with their line numbers: CSV, TSV, white space, Parquet."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recurra.bounded import read_whole
from recurra.errors import InputError


@dataclass(frozen=True)
class Table:
    """Name, header, and (line, cells) of each row that is not empty."""

    name: str
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]

    @cached_property
    def first(self) -> list[str]:
        """Cells of the first row."""
        return self.rows[0][1] if self.rows else []


def open_table(path: Path, *, delimiter: str | None = None, skip_lines: int = 0) -> Table:
    """Read a table with a header.

    Raises:
        InputError: there is no such file, it is no text, or has no header.
    """
    if path.suffix == ".parquet":
        rows = list(enumerate(_parquet(path), 1))
    else:
        delimiter = delimiter or ("\t" if path.suffix == ".tsv" else ",")
        rows = [
            (n, r) for n, r in _text(path, delimiter) if n > skip_lines and any(map(str.strip, r))
        ]
    if not rows:
        raise InputError(f"{path}: expected a header and rows, found nothing")
    return Table(str(path), tuple(rows[0][1]), rows[1:])


def _text(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    try:
        with io.StringIO(read_whole(path).decode("utf-8-sig"), newline="") as file:
            if delimiter == " ":
                for line, text in enumerate(file, 1):
                    yield line, text.split()
                return
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _parquet(path: Path) -> Iterator[list[str]]:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import read_table
    except ModuleNotFoundError as error:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from error
    try:
        table = read_table(path)
    except (OSError, ArrowInvalid) as error:
        raise InputError(f"{path}: expected a Parquet file: {error}".splitlines()[0]) from error
    yield list(table.column_names)
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        yield ["" if cell is None else str(cell) for cell in row]
