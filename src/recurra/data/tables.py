"""Rows of a table by column name, from CSV, TSV, JSON lines and Parquet. No torch."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recurra.checked import checked
from recurra.data.cells import BadRowError, as_utf8, not_utf8, read_bytes, sniff, split_record
from recurra.data.parquet import read_parquet
from recurra.errors import InputError
from recurra.given import brief

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


@checked
def read_table(
    sources: str | Path | Sequence[str | Path],
    columns: Sequence[str] | None,
    *,
    header: Sequence[str] | None = None,
    optional: Sequence[str] | None = (),
    skip_bad: bool = False,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Table:
    """Read columns of one or more files of one layout.

    Args:
        sources: files; the end of the name says the format: .csv .tsv .jsonl .ndjson, each also
            with .gz behind, and .parquet.
        columns: names of the columns to read; None for all that the first file has.
        header: names of all columns, for CSV and TSV files whose first line is a row already.
        optional: columns among `columns` that may be missing, altogether or in some rows: None
            then; None for all of them. Elsewhere a missing value (an empty field, null) makes a
            bad row.
        skip_bad: leave bad rows out and report them in `skipped`, instead of raising.
        delimiter: what parts the fields of CSV; by default the one of , ; tab and | that parts the
            first rows into as many fields each.
        encoding: of files that are not UTF-8 and have no byte order mark.

    CSV is RFC 4180: fields in double quotes may hold commas, quotes doubled and line ends. In TSV
    nothing is quoted: a tab ends a field, a line end a row. Lines without anything are passed over.

    Raises:
        InputError: a file that is missing, of no known format, without the columns, without a row;
            or the first bad row: file, line, what was expected and what was there.
    """
    paths = [Path(s) for s in ([sources] if isinstance(sources, str | Path) else sources)]
    if not paths:
        raise InputError("expected a file to read, received none: give at least one")
    wanted = None if columns is None else tuple(columns)
    found: Table | None = None
    digest = hashlib.sha256()
    for path in paths:
        reader = _Reader(path, wanted, header, optional, skip_bad, _How(delimiter, encoding))
        data = read_bytes(path)
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


@dataclass(frozen=True)
class _How:
    """What a person said of the text of a file."""

    delimiter: str | None
    encoding: str | None


class _Reader:
    """Reads one file."""

    def __init__(
        self,
        path: Path,
        columns: tuple[str, ...] | None,
        header: Sequence[str] | None,
        optional: Sequence[str] | None,
        skip_bad: bool,
        how: _How,
    ) -> None:
        self.path, self._wanted, self._header, self._how = path, columns, header, how
        self._optional = None if optional is None else frozenset(optional)
        self._skip_bad, self._lines = skip_bad, [b""]
        self.columns: tuple[str, ...] = columns or ()
        self.rows: list[tuple[Any, ...]] = []
        self.places: list[str] = []
        self.skipped: list[str] = []

    def read(self, data: bytes) -> None:
        kind = format_of(self.path)
        if kind is None:
            raise InputError(
                f"{self.path}: expected a name that ends in one of {' '.join(SUFFIXES)} (or .gz "
                "behind it), which says how to read it: rename it"
            )
        if kind == "parquet":
            self._read_parquet(data)
        elif kind == "jsonl":
            self._read_json_lines(data)
        else:
            self._read_fields(data, tab=kind == "tsv")

    def _add(self, number: int, make: Callable[[], tuple[Any, ...]], unit: str = "line") -> None:
        """Add a row, or report it."""
        place = f"{self.path}, {unit} {number}"
        try:
            row = make()
            for name, value in zip(self.columns, row, strict=True):
                if (value is None or value == "") and not self._may_lack(name):
                    raise BadRowError(f"no value in the column {name!r}")
        except (BadRowError, UnicodeDecodeError) as error:
            told = f"{place}: {self._reason(error, number)}"
            if not self._skip_bad:
                raise InputError(f"{told}: correct it, or skip bad rows (--skip-bad)") from None
            self.skipped.append(told)
            return
        self.rows.append(tuple(None if value == "" else value for value in row))
        self.places.append(place)

    def _may_lack(self, name: str) -> bool:
        return self._optional is None or name in self._optional

    # -- CSV and TSV ------------------------------------------------------------------------------

    def _read_fields(self, data: bytes, *, tab: bool) -> None:
        self._lines = lines = as_utf8(data, self.path, self._how.encoding).split(b"\n")
        at = 0
        while at < len(lines) and not lines[at].strip():
            at += 1
        if lines[at : at + 1] and lines[at].lower().startswith(b"sep="):  # for Excel
            at += 1
        dialect = sniff(lines[at : at + 100], delimiter=self._how.delimiter, tab=tab)
        names = self._header
        if names is None and at < len(lines):
            try:
                names, at = split_record(lines, at, dialect)
            except (BadRowError, UnicodeDecodeError) as error:
                told = self._reason(error, at + 1)
                raise InputError(f"{self.path}, line {at + 1}: {told}") from None
        names = [name.strip() for name in names or ()]
        self._choose(names, f"a first line that names them, received {_names(names)}: name the "
                     "columns of a file without such a line (--columns), or what separates them, "
                     f"here {dialect} (--delimiter)")  # fmt: skip
        at_name = {name: place for place, name in enumerate(names)}
        places = [at_name.get(name) for name in self.columns]
        while at < len(lines):
            if lines[at].strip(b"\r ") == b"":
                at += 1
                continue
            start = at
            at += 1  # where a bad row cannot be read, the next line may begin a good one

            def make(start: int = start) -> tuple[Any, ...]:
                nonlocal at
                fields, at = split_record(lines, start, dialect, len(names))
                if len(fields) != len(names):
                    at = start + 1
                    raise BadRowError(f"expected {len(names)} fields, received {len(fields)}")
                return tuple(None if place is None else fields[place] for place in places)

            self._add(start + 1, make)

    def _reason(self, error: Exception, number: int) -> str:
        if isinstance(error, UnicodeDecodeError):
            return not_utf8(self._lines[number - 1], error)
        return str(error)

    # -- JSON lines -------------------------------------------------------------------------------

    def _read_json_lines(self, data: bytes) -> None:
        self._lines = as_utf8(data, self.path, self._how.encoding).split(b"\n")
        for number, line in enumerate(self._lines, 1):
            if not line.strip():
                continue

            def make(line: bytes = line) -> tuple[Any, ...]:
                try:
                    value = json.loads(line.decode())
                except UnicodeDecodeError:
                    raise
                except (ValueError, RecursionError) as error:
                    # ValueError: an integer of more digits than Python reads.
                    told = "too deep" if isinstance(error, RecursionError) else "a number too long"
                    told = error.msg if isinstance(error, json.JSONDecodeError) else told
                    raise BadRowError(f"not JSON: {told}") from None
                if not isinstance(value, dict):
                    raise BadRowError(f"expected a JSON object, received {_short(value)}")
                if not self.columns:
                    self.columns = tuple(value)
                missing = [n for n in self.columns if n not in value and not self._may_lack(n)]
                if missing:
                    told = f"no {brief(missing[0])} in it; there are {_names(list(value))}"
                    raise BadRowError(told)
                return tuple(value.get(name) for name in self.columns)

            self._add(number, make)

    # -- Parquet ----------------------------------------------------------------------------------

    def _read_parquet(self, data: bytes) -> None:
        names: set[str] = set()

        def choose(there: list[str]) -> list[str]:
            names.update(there)
            self._choose(there, f"received a file with {_names(there)}")
            return [name for name in self.columns if name in names]

        read = iter(read_parquet(data, self.path, choose))
        there = [next(read) if name in names else None for name in self.columns]
        count = max((len(column) for column in there if column is not None), default=0)
        values = [[None] * count if column is None else column for column in there]
        for number, row in enumerate(zip(*values, strict=True), 1):
            self._add(number, lambda row=row: row, unit="row")  # type: ignore[misc]

    def _choose(self, names: Sequence[str], expected: str) -> None:
        """Set the columns that are read, from all there are."""
        double = next((name for name, n in Counter(names).items() if n > 1), None)
        if double is not None and _is_number(double):
            raise InputError(
                f"{self.path}: expected a first line that names the columns, received "
                f"{_names(names)}: name them (--columns)"
            )
        if double is not None:
            raise InputError(f"{self.path}: the column {double!r} appears twice: rename one")
        if self._wanted is None:
            self.columns = tuple(names)
            return
        there = set(names)
        if any(name not in there and not self._may_lack(name) for name in self._wanted):
            wanted = ", ".join(self._wanted)
            raise InputError(f"{self.path}: expected the columns {wanted} and {expected}")
        self.columns = self._wanted


def _is_number(text: str) -> bool:
    """Whether a column's name is that of a row's value, rather."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names(names: Sequence[str]) -> str:
    return _cut(", ".join(map(repr, names)))


def _short(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
