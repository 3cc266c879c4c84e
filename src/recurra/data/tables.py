"""Rows of a table by column name, from CSV, TSV, JSON lines and Parquet. No torch."""

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recurra.bounded import gunzip, may_unpack_to, read_whole
from recurra.errors import InputError

#: What a file is called, and how it is read; each of the text formats also with `.gz` behind.
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_SHOWN = 60  # characters of a bad value that an error shows


@dataclass(frozen=True)
class Table:
    """Some columns of one or more files.

    columns: their names. rows: a tuple of values each, in their order: strings from CSV and TSV,
    whatever stood there from the others, None where nothing did. places: "file, line 7" of each
    row (of Parquet "file, row 7"). skipped: one line for each row that could not be read.
    sha256: of the files' bytes.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    places: list[str]
    skipped: list[str] = field(default_factory=list)
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[Any]:
        """The values of one column."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


def read_table(
    sources: str | Path | Sequence[str | Path],
    columns: Sequence[str] | None,
    *,
    header: Sequence[str] | None = None,
    optional: Sequence[str] | None = (),
    skip_bad: bool = False,
) -> Table:
    """Read columns of one or more files of one layout.

    Args:
        sources: files; the end of the name says the format: .csv .tsv .jsonl .ndjson, each also
            with .gz behind, and .parquet. UTF-8.
        columns: names of the columns to read; None for all that the first file has.
        header: names of all columns, for CSV and TSV files whose first line is a row already.
        optional: columns among `columns` that may be missing, altogether or in some rows: None
            then; None for all of them. Elsewhere a missing value (an empty field, null) makes a
            bad row.
        skip_bad: leave bad rows out and report them in `skipped`, instead of raising.

    CSV is RFC 4180: fields in double quotes may hold commas, quotes doubled and line ends; no field
    is longer than 131,072 characters. In TSV nothing is quoted: a tab ends a field, a line end a
    row. Lines without anything are passed over.

    Raises:
        InputError: a file that is missing, of no known format, without the columns, without a row;
            or the first bad row: file, line, what was expected and what was there.
    """
    paths = [Path(s) for s in ([sources] if isinstance(sources, str | Path) else sources)]
    if not paths:
        raise InputError("no file to read: give at least one")
    wanted = None if columns is None else tuple(columns)
    found: Table | None = None
    digest = hashlib.sha256()
    for path in paths:
        reader = _Reader(path, wanted, header, optional, skip_bad)
        data = _bytes(path)
        digest.update(data)
        reader.read(data)
        wanted = reader.columns
        if found is None:
            found = Table(wanted, [], [], [])
        found.rows.extend(reader.rows)
        found.places.extend(reader.places)
        found.skipped.extend(reader.skipped)
    assert found is not None
    if not found.rows:
        left = f": all {len(found.skipped)} were bad" if found.skipped else ""
        raise InputError(f"{paths[0]}: expected rows, received none{left}")
    return Table(found.columns, found.rows, found.places, found.skipped, digest.hexdigest())


def format_of(path: str | Path) -> str | None:
    """csv, tsv, jsonl or parquet, by the name of a file; None where it is none of these."""
    path = Path(path)
    suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    return SUFFIXES.get(suffix.lower())


class _BadRowError(ValueError):
    """What is wrong with a row."""


class _Reader:
    """Reads one file."""

    def __init__(
        self,
        path: Path,
        columns: tuple[str, ...] | None,
        header: Sequence[str] | None,
        optional: Sequence[str] | None,
        skip_bad: bool,
    ) -> None:
        self.path, self._wanted, self._header = path, columns, header
        self._optional, self._skip_bad = optional, skip_bad
        self.columns: tuple[str, ...] = columns or ()
        self.rows: list[tuple[Any, ...]] = []
        self.places: list[str] = []
        self.skipped: list[str] = []

    def read(self, data: bytes) -> None:
        kind = format_of(self.path)
        if kind is None:
            raise InputError(
                f"{self.path}: expected a name that ends in one of {' '.join(SUFFIXES)} (or .gz "
                "behind it), which says how to read it"
            )
        if kind == "parquet":
            self._read_parquet(data)
        elif kind == "jsonl":
            self._read_json_lines(data)
        else:
            self._read_fields(data, _csv_record if kind == "csv" else _tsv_record)

    def _add(self, number: int, make: Callable[[], tuple[Any, ...]], unit: str = "line") -> None:
        """Add a row, or report it."""
        place = f"{self.path}, {unit} {number}"
        try:
            row = make()
            for name, value in zip(self.columns, row, strict=True):
                if (value is None or value == "") and not self._may_lack(name):
                    raise _BadRowError(f"no value in the column {name!r}")
        except (_BadRowError, UnicodeDecodeError, csv.Error) as error:
            told = f"{place}: {_reason(error)}"
            if not self._skip_bad:
                raise InputError(f"{told}: mend it, or skip bad rows") from None
            self.skipped.append(told)
            return
        self.rows.append(tuple(None if value == "" else value for value in row))
        self.places.append(place)

    def _may_lack(self, name: str) -> bool:
        return self._optional is None or name in self._optional

    # -- CSV and TSV ------------------------------------------------------------------------------

    def _read_fields(self, data: bytes, record: "Record") -> None:
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        at = 0
        while at < len(lines) and not lines[at].strip():
            at += 1
        names = self._header
        if names is None and at < len(lines):
            try:
                names, at = record(lines, at)
            except (csv.Error, UnicodeDecodeError) as error:
                raise InputError(f"{self.path}, line {at + 1}: {_reason(error)}") from None
        names = [name.strip() for name in names or ()]
        self._choose(names, f"a first line that names them, received {_names(names)}; where a file "
                     "has no such line, give the names of its columns")  # fmt: skip
        places = [names.index(name) if name in names else None for name in self.columns]
        while at < len(lines):
            if lines[at].strip(b"\r ") == b"":
                at += 1
                continue
            start = at
            at += 1  # where a bad row cannot be read, the next line may begin a good one

            def make(start: int = start) -> tuple[Any, ...]:
                nonlocal at
                fields, at = record(lines, start)
                if len(fields) != len(names):
                    at = start + 1
                    raise _BadRowError(f"expected {len(names)} fields, received {len(fields)}")
                return tuple(None if place is None else fields[place] for place in places)

            self._add(start + 1, make)

    # -- JSON lines -------------------------------------------------------------------------------

    def _read_json_lines(self, data: bytes) -> None:
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue

            def make(line: bytes = line) -> tuple[Any, ...]:
                try:
                    value = json.loads(line.decode())
                except (json.JSONDecodeError, RecursionError) as error:
                    told = error.msg if isinstance(error, json.JSONDecodeError) else "too deep"
                    raise _BadRowError(f"not JSON: {told}") from None
                if not isinstance(value, dict):
                    raise _BadRowError(f"expected a JSON object, received {_short(value)}")
                if not self.columns:
                    self.columns = tuple(value)
                missing = [n for n in self.columns if n not in value and not self._may_lack(n)]
                if missing:
                    raise _BadRowError(f"no {missing[0]!r} in it; there are {_names(list(value))}")
                return tuple(value.get(name) for name in self.columns)

            self._add(number, make)

    # -- Parquet ----------------------------------------------------------------------------------

    def _read_parquet(self, data: bytes) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ModuleNotFoundError as error:
            raise InputError(
                f"{self.path}: reading Parquet needs pyarrow: pip install recurra[parquet]"
            ) from error
        try:
            file = parquet.ParquetFile(pyarrow.BufferReader(data))
            names = list(file.schema_arrow.names)
            # A value that is repeated takes no place in the file: ours take some bytes each.
            if file.metadata.num_rows * max(1, len(names)) * 16 > may_unpack_to(len(data)):
                raise InputError(
                    f"{self.path}: {file.metadata.num_rows:,} rows, more than are read of a file "
                    "of its size: RECURRA_LIMIT_EXPANSION changes that"
                )
            self._choose(names, f"received a file with {_names(names)}")
            read = file.read(columns=[name for name in self.columns if name in names])
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{self.path}: not a Parquet file that can be read: {error}") from None
        nothing = [None] * read.num_rows
        values = [
            read.column(name).to_pylist() if name in names else nothing for name in self.columns
        ]
        for number, row in enumerate(zip(*values, strict=True), 1):
            self._add(number, lambda row=row: row, unit="row")  # type: ignore[misc]

    def _choose(self, names: Sequence[str], expected: str) -> None:
        """Set the columns that are read, from all there are."""
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise InputError(f"{self.path}: the column {double!r} stands there twice: rename one")
        if self._wanted is None:
            self.columns = tuple(names)
            return
        if any(name not in names and not self._may_lack(name) for name in self._wanted):
            wanted = ", ".join(self._wanted)
            raise InputError(f"{self.path}: expected the columns {wanted} and {expected}")
        self.columns = self._wanted


Record = Callable[[list[bytes], int], tuple[list[str], int]]


def _tsv_record(lines: list[bytes], at: int) -> tuple[list[str], int]:
    """The fields of the row at a line, and the line after it."""
    return lines[at].removesuffix(b"\r").decode().split("\t"), at + 1


def _csv_record(lines: list[bytes], at: int) -> tuple[list[str], int]:
    """The fields of the row that begins at a line, and the line after it."""
    reader = csv.reader(_from(lines, at), strict=True)
    fields = next(reader)
    return fields, at + reader.line_num


def _from(lines: list[bytes], at: int) -> Iterator[str]:
    for index in range(at, len(lines)):
        yield lines[index].decode() + "\n"


def _bytes(path: Path) -> bytes:
    """A whole file, unpacked where its name ends in .gz."""
    try:
        data = read_whole(path)
        return gunzip(data) if path.suffix.lower() == ".gz" else data
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: check the path") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: not gzip that can be read: {error}: pack it again") from None
    except OSError as error:
        told = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: {told}: check the path and its permissions") from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start + 1} of the line"
    if isinstance(error, csv.Error):
        return f"a quoted field that does not end as it should ({error})"
    return str(error)


def _names(names: Sequence[str]) -> str:
    return _cut(", ".join(map(repr, names)))


def _short(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
