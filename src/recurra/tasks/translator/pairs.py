"""Pairs of texts, source and target, from the files people have them in. No torch."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

from recurra.checked import checked
from recurra.data.cells import as_utf8, read_bytes, sniff
from recurra.data.json_lines import BadJSONError, parse_object
from recurra.data.tables import format_of, read_table
from recurra.errors import InputError
from recurra.given import LeftOut, brief, columns_of, listed, path_of, shown

_SHOWN = 40  # characters of what is wrong that an error shows
_JSON_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_LINE_END = "\r\n"

PairSource = str | Path | Sequence[str | Path | tuple[str | Path, str | Path]]


@dataclass(frozen=True)
class Pairs:
    """Sources and their targets, line by line.

    places: "file, line 7" of each. skipped: one line for each pair that could not be read. sha256:
    of the files.
    """

    sources: list[str]
    targets: list[str]
    places: list[str]
    skipped: list[str] = field(default_factory=list)
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def left_out(self) -> LeftOut:
        """How many pairs could not be read, and the first of them."""
        return LeftOut.of(self.skipped, kept=len(self), unit="pairs")

    @staticmethod
    def of(pairs: Any) -> "Pairs":
        """Pairs in memory: a list or generator of them, or a table with the columns `source` and
        `target` (a DataFrame, a mapping of lists).

        Raises:
            InputError: what is none.
        """
        columns = columns_of(pairs)
        if columns is not None:
            absent = [name for name in ("source", "target") if name not in columns]
            if absent:
                raise InputError(
                    f"pairs: expected the columns 'source' and 'target', received {shown(pairs)}"
                )
            sides = [
                listed(columns[name], f"column {name!r}", "a column of texts")
                for name in ("source", "target")
            ]
            if len(sides[0]) != len(sides[1]):
                raise InputError(
                    "pairs: expected a target for each source, received "
                    f"{len(sides[0])} sources and {len(sides[1])} targets"
                )
            pairs = zip(*sides, strict=True)
        rows = listed(pairs, "pairs", "a file, files, or pairs (source, target)")
        places = [f"pair {number}" for number in range(len(rows))]
        digest = sha256()
        made = Pairs([], [], [])
        for place, pair in zip(places, rows, strict=True):
            two = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
            if not two or not all(isinstance(text, str) and text.strip() for text in pair):
                received = " and ".join(map(shown, pair)) if two else shown(pair)
                raise InputError(f"{place}: expected a source and a target, received {received}")
            digest.update(json.dumps(pair).encode() + b"\n")
            made.sources.append(pair[0].strip())
            made.targets.append(pair[1].strip())
        return Pairs(made.sources, made.targets, places, [], digest.hexdigest())

    def references(self) -> tuple[list[str], list[list[str]]]:
        """Each source once, in order of appearance, with all targets it has."""
        found: dict[str, list[str]] = {}
        for source, target in zip(self.sources, self.targets, strict=True):
            found.setdefault(source, []).append(target)
        return list(found), list(found.values())


@checked
def read_pairs(
    files: PairSource,
    *,
    columns: tuple[str, str] = ("source", "target"),
    skip_bad: bool = False,
) -> Pairs:
    """Read pairs of texts.

    Args:
        files: one or more files, each `source TAB target` a line, in which a first line may name
            the columns; or by its name a table (.csv, .parquet) that has both columns, or JSON
            lines (.jsonl, .ndjson); or pairs of files, of which line n of one belongs to line n of
            the other. UTF-8, or UTF-16 with its mark, each also with .gz behind.
        columns: what tables and JSON lines call source and target.
        skip_bad: leave out pairs that cannot be read, and report them in `skipped`.

    White space around a text does not count; lines without anything are passed over, though not
    where only one of two files has one. Between tabs nothing is quoted.

    Raises:
        InputError: a file that is missing or not text, or has no pair in it; two files of different
            lengths; or the first pair that cannot be read: file, line, what was expected.
    """
    entries = [files] if isinstance(files, str | Path) else list(files)
    digest, made = sha256(), Pairs([], [], [])
    for entry in entries:
        if isinstance(entry, tuple):
            first, second = (_read(Path(path), digest) for path in entry)
            rows = _side_by_side(Path(entry[0]), Path(entry[1]), first, second)
        elif str(entry).lower().endswith(_JSON_LINES):
            rows = _by_line(Path(entry), _read(Path(entry), digest), _json_reader(columns))
        elif _is_table(Path(entry)):
            table = read_table(entry, columns, skip_bad=skip_bad)
            digest.update(table.sha256.encode())
            made.skipped.extend(table.skipped)
            rows = _of_table(table)
        else:
            lines = _read(Path(entry), digest)
            rows = _by_line(Path(entry), *_tabs(lines, columns))
        for place, make in rows:
            try:
                source, target = make()
            except (_BadPairError, UnicodeDecodeError) as error:
                told = f"{place}: {_reason(error)}"
                if not skip_bad:
                    raise InputError(f"{told}: correct it, or skip bad rows (--skip-bad)") from None
                made.skipped.append(told)
                continue
            made.sources.append(source)
            made.targets.append(target)
            made.places.append(place)
    if not len(made):
        name = entries[0] if entries else "no file"
        raise InputError(
            f"{name}: expected pairs of texts, received none"
            + (f": all {len(made.skipped)} were bad" if made.skipped else "")
        )
    return Pairs(made.sources, made.targets, made.places, made.skipped, digest.hexdigest())


@dataclass(frozen=True)
class Sources:
    """Texts to translate, line by line; places and skipped as of `Pairs`. Lines with nothing in
    them are among those that were skipped."""

    texts: list[str]
    places: list[str]
    skipped: list[str]


def read_sources(path: str | Path, *, column: str = "source") -> list[str]:
    """The texts that `open_sources` reads."""
    return open_sources(path, column=column).texts


def open_sources(path: str | Path, *, column: str = "source", skip_bad: bool = False) -> Sources:
    """Read texts to translate: a line each, up to its first tab, or JSON lines with `column`.

    Args:
        path: as for `read_pairs`, or "-" for standard input.
        column: what JSON lines call a text.
        skip_bad: leave out lines that cannot be read, as those without anything are.

    Raises:
        InputError: as `read_pairs`, for the first line that cannot be read.
    """
    name = path_of(path, "sources", "a file of texts, or -")
    where = "standard input" if str(path) == "-" else str(path)
    if str(path) == "-":
        lines = as_utf8(sys.stdin.buffer.read(), Path(where)).split(b"\n")
        lines = lines[:-1] if lines[-1] == b"" else lines
    else:
        lines = _read(name, sha256())
    json_lines = str(path).lower().endswith(_JSON_LINES)
    found = sources_in(lines, where, column=column if json_lines else None, skip_bad=skip_bad)
    if not found.texts:
        raise no_sources(where)
    return found


def sources_in(
    lines: Sequence[bytes],
    where: str,
    *,
    first: int = 1,
    column: str | None = None,
    skip_bad: bool = False,
) -> Sources:
    """The texts of lines, of which the first has the number `first`; see `open_sources`."""
    texts, places, skipped = [], [], []
    for number, line in enumerate(lines, first):
        place = f"{where}, line {number}"
        if not line.strip():
            skipped.append(f"{place}: it is empty")
            continue
        try:
            text = _text(line)
            text = text.split("\t")[0] if column is None else _object(text, (column,))[column]
            if not text.strip():
                raise _BadPairError("expected a source, received nothing")
        except (_BadPairError, UnicodeDecodeError) as error:
            if not skip_bad:
                raise InputError(
                    f"{place}: {_reason(error)}: correct it, or skip bad lines (--skip-bad)"
                ) from None
            skipped.append(f"{place}: {_reason(error)}")
            continue
        texts.append(text.strip())
        places.append(place)
    return Sources(texts, places, skipped)


def no_sources(where: str) -> InputError:
    """The error of lines without a text."""
    return InputError(f"{where}: expected a source a line, received none: give some lines")


class _BadPairError(ValueError):
    """What is wrong with a pair."""


Make = Callable[[], tuple[str, str]]


def _by_line(
    path: Path, lines: list[bytes], read: Callable[[str], tuple[str, str]], first: int = 0
) -> Iterator[tuple[str, Make]]:
    for number, line in enumerate(lines[first:], first + 1):
        if line.strip():
            yield f"{path}, line {number}", lambda line=line: _pair(*read(_text(line)))  # type: ignore[misc]


def _side_by_side(
    first: Path, second: Path, sources: list[bytes], targets: list[bytes]
) -> Iterator[tuple[str, Make]]:
    if len(sources) != len(targets):
        raise InputError(
            f"{first} and {second}: expected as many lines in both, received {len(sources)} and "
            f"{len(targets)}: line n of one is the translation of line n of the other"
        )
    for number, (one, other) in enumerate(zip_longest(sources, targets), 1):
        if one.strip() or other.strip():
            place = f"{first} and {second}, line {number}"
            yield place, lambda a=one, b=other: _pair(_text(a), _text(b))  # type: ignore[misc]


def _is_table(path: Path) -> bool:
    """Whether a file is read by the names of its columns: Parquet, and CSV without tabs."""
    kind = format_of(path)
    if kind != "csv":
        return kind == "parquet"
    lines = [line for line in as_utf8(read_bytes(path), path).split(b"\n")[:100] if line.strip()]
    return sniff(lines).delimiter != "\t"


def _of_table(table: Any) -> Iterator[tuple[str, Make]]:
    for place, row in zip(table.places, table.rows, strict=True):
        yield place, lambda row=row: _pair(*map(_cell, row))  # type: ignore[misc]


def _cell(value: Any) -> str:
    if not isinstance(value, str):
        raise _BadPairError(f"expected a text, received {_short(value)}")
    return value


def _tabs(
    lines: list[bytes], columns: tuple[str, str]
) -> tuple[list[bytes], Callable[[str], tuple[str, str]], int]:
    """The lines, what reads one of them, and the first that is not the names of the columns."""
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    names = [name.strip() for name in _cells(lines[first])] if lines else []
    if not set(columns) <= set(names):
        return lines, _tab_reader, 0

    def read(line: str) -> tuple[str, str]:
        cells = line.split("\t")
        if len(cells) != len(names):
            raise _BadPairError(
                f"expected {len(names)} fields, as the first line names, received {len(cells)}: "
                f"{_short(line)}"
            )
        return cells[names.index(columns[0])], cells[names.index(columns[1])]

    return lines, read, first + 1


def _cells(line: bytes) -> list[str]:
    return line.rstrip(_LINE_END.encode()).decode("utf-8", "replace").split("\t")


def _tab_reader(line: str) -> tuple[str, str]:
    source, *targets = line.split("\t")
    if len(targets) != 1:
        raise _BadPairError(
            f"expected source TAB target, received {len(targets) + 1} fields: {_short(line)}"
        )
    return source, targets[0]


def _json_reader(columns: tuple[str, str]) -> Callable[[str], tuple[str, str]]:
    def read(line: str) -> tuple[str, str]:
        value = _object(line, columns)
        return value[columns[0]], value[columns[1]]

    return read


def _object(line: str, columns: Sequence[str]) -> dict[str, Any]:
    """A JSON object that has texts of some names."""
    try:
        value = parse_object(line)
    except BadJSONError:
        raise _BadPairError(f"expected a JSON object, received {_short(line)}") from None
    for name in columns:
        if not isinstance(value.get(name), str):
            found = f"{name!r} is {_short(value[name])}" if name in value else _short(value)
            raise _BadPairError(f"expected a text named {name!r}, received {found}")
    return value


def _pair(source: str, target: str) -> tuple[str, str]:
    source, target = source.strip(), target.strip()
    for name, text in (("source", source), ("target", target)):
        if not text:
            raise _BadPairError(f"expected a {name}, received nothing")
    return source, target


def _read(path: Path, digest: Any) -> list[bytes]:
    """The lines of a file in UTF-8, unpacked where it is gzip."""
    data = read_bytes(path)
    digest.update(data)
    lines = as_utf8(data, path).split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def _text(line: bytes) -> str:
    return line.rstrip(_LINE_END.encode()).decode()


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start + 1} of the line"
    return str(error)


def _short(value: Any) -> str:
    text = brief(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
