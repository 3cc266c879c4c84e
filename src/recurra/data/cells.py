"""Tables as bytes: unpacking, encodings, what parts the cells of a row, and quoting. No torch."""

import codecs
import errno
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recurra.bounded import GZIP, PackedError, gunzip, read_whole
from recurra.errors import InputError

DELIMITERS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SNIFFED = 50  # rows that say what parts cells
#: What stands before the fraction of a number; `auto` looks at all of them.
DECIMALS = ("auto", "point", "comma")
_EXPONENT = r"(?:[eE][-+]?\d+)?\s*"
_COMMA = re.compile(r"\s*[-+]?\d*,\d+" + _EXPONENT)
_POINT = re.compile(r"\s*[-+]?\d*\.\d+" + _EXPONENT)
_THOUSAND = re.compile(r"\s*[-+]?[1-9]\d{0,2},\d{3}\s*")


class BadRowError(ValueError):
    """What is wrong with a row."""


@dataclass(frozen=True)
class Dialect:
    """What parts cells, and whether they may stand in double quotes. A space: any white space."""

    delimiter: str = ","
    quoted: bool = True

    def __str__(self) -> str:
        return {"\t": "a tab", ",": "a comma", ";": "a semicolon"}.get(
            self.delimiter, repr(self.delimiter)
        )


def read_bytes(path: Path) -> bytes:
    """A whole file, unpacked where it is gzip or its name ends in .gz.

    Raises:
        InputError: it cannot be read, is not gzip, or unpacks to more than is allowed.
    """
    try:
        data = read_whole(path)
        packed = path.suffix.lower() == ".gz" or data.startswith(GZIP)
        return gunzip(data) if packed else data
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: check the path") from None
    except PackedError as error:
        raise InputError(f"{path}: {error}: pack it again") from None
    except OSError as error:
        told = error.strerror or str(error)
        if error.errno == errno.EFBIG:  # which says what changes it
            raise InputError(f"{path}: {told}") from None
        raise InputError(f"{path}: {told.lower()}: check the path and its permissions") from error
    except ValueError as error:  # a zero in the path
        raise InputError(f"{str(path)!r}: cannot be a path: {error}: check it") from None


def as_utf8(data: bytes, path: Path, encoding: str | None = None) -> bytes:
    """The bytes of a text in UTF-8, without a byte order mark; line ends are made `\\n`.

    UTF-16 and UTF-32 are known by their marks. Bytes that are not UTF-8 stay as they are, for the
    row that has them, unless `encoding` names what they are.

    Raises:
        InputError: an encoding that is not known, or that the bytes are not in.
    """
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is not None or marked is not None:
        chosen = marked or encoding or ""
        try:
            data = data.decode(chosen).encode()
        except LookupError:
            raise InputError(
                f"{path}: no encoding is called {chosen!r}: --encoding takes names such as utf-8, "
                "cp1252 or utf-16"
            ) from None
        except UnicodeError as error:
            at = f" at byte {error.start + 1}" if isinstance(error, UnicodeDecodeError) else ""
            raise InputError(
                f"{path}: not {chosen.upper()}{at}: choose another --encoding"
            ) from None
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data and b"\n" not in data:  # as old Macs ended lines
        data = data.replace(b"\r", b"\n")
    return data


def not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    """What is wrong with a line that is not UTF-8, and the option that helps."""
    told = f"not UTF-8 at byte {error.start + 1} of the line"
    if b"\0" in line:
        return f"{told}: if the file is in UTF-16, choose --encoding utf-16"
    return f"{told}: {advice(line)}"


def advice(data: bytes) -> str:
    """Which encoding bytes that are not UTF-8 may be in. What cp1252 has no sign for is not it."""
    if re.search(rb"[\x81\x8d\x8f\x90\x9d]", data):
        return "say which encoding it is, with --encoding"
    return "say which encoding it is, as with --encoding cp1252 (Windows, western Europe)"


def sniff(lines: Sequence[bytes], *, delimiter: str | None = None, tab: bool = False) -> Dialect:
    """How the cells of a table are parted: what parts all of the first rows into as many cells.

    Args:
        lines: of the file, the header first.
        delimiter: what a person said of it.
        tab: whether the file's name says that tabs do.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
        raise InputError(
            f"delimiter: expected one character, as ; or a tab, received {delimiter[:20]!r}"
        )
    if delimiter is None and tab:
        return Dialect("\t", quoted=False)
    if delimiter is not None:
        return Dialect(delimiter, quoted=delimiter not in "\t ")
    some = [line.decode("utf-8", "replace").rstrip("\r") for line in lines[:_SNIFFED]]
    some = [line for line in some if line.strip()]
    if not some:
        return Dialect()
    best = ","
    for sign in DELIMITERS:
        counts = [_count(line, sign) for line in some]
        if counts[0] > 1 and len(set(counts)) == 1:
            best = sign
            break
    else:
        # Rows that differ: some are bad, or have line ends in quotes. The header says it.
        there = Counter({sign: _count(some[0], sign) for sign in DELIMITERS[1:]})
        if _count(some[0], ",") == 1 and there.most_common(1)[0][1] > 1:
            best = there.most_common(1)[0][0]
    return Dialect(best, quoted=best != "\t" or _quotes_hold(some))


def _quotes_hold(lines: Sequence[str]) -> bool:
    """Whether quotes between tabs stand at both ends of cells, as where all cells are quoted."""
    cells = [cell for line in lines for cell in line.split("\t") if '"' in cell]
    whole = [cell for cell in cells if len(cell) > 1 and cell[0] == cell[-1] == '"']
    return bool(cells) and len(whole) == len(cells)


def _count(line: str, delimiter: str) -> int:
    if '"' not in line:
        return line.count(delimiter) + 1
    try:
        return len(split_record([line.encode()], 0, Dialect(delimiter))[0])
    except BadRowError:
        return 0


def split_record(
    lines: Sequence[bytes], at: int, dialect: Dialect, width: int | None = None
) -> tuple[list[str], int]:
    """The cells of the row that begins at a line, and the line after it.

    As RFC 4180 has it: a cell in double quotes may hold delimiters, line ends and doubled quotes; a
    quote within another cell is itself.

    Args:
        lines: without their line ends.
        at: the first line of the row.
        dialect: of the file.
        width: how many cells a row has.

    Raises:
        BadRowError: a quoted cell that does not end as it should, or has swallowed rows.
        UnicodeDecodeError: a line is not UTF-8.
    """
    text = lines[at].removesuffix(b"\r").decode()
    if dialect.delimiter == " ":
        return text.split(), at + 1
    if not dialect.quoted or '"' not in text:
        return text.split(dialect.delimiter), at + 1
    cells: list[str] = []
    first, place = at, 0
    sign = dialect.delimiter
    while True:
        if text.startswith('"', place):
            cell, text, place, at = _quoted(lines, text, place + 1, at, first, dialect)
            cells.append(cell)
        else:
            end = text.find(sign, place)
            end = len(text) if end < 0 else end
            cells.append(text[place:end])
            place = end
        if place == len(text):
            break
        place += len(sign)
    if width is not None and at - first >= 2 and len(cells) == width > 1:
        _check_swallowed(lines[first : at + 1], sign, width)
    return cells, at + 1


def _quoted(
    lines: Sequence[bytes], text: str, place: int, at: int, first: int, dialect: Dialect
) -> tuple[str, str, int, int]:
    """The quoted cell whose first sign stands at `place`; text, place and line behind its quote."""
    parts: list[str] = []
    while True:
        end = text.find('"', place)
        if end < 0:
            parts.append(text[place:])
            at += 1
            if at == len(lines):
                raise BadRowError(
                    f"a quoted field of line {first + 1} does not end: close its quote"
                )
            text, place = "\n" + lines[at].removesuffix(b"\r").decode(), 0
            continue
        parts.append(text[place:end])
        if text.startswith('"', end + 1):
            parts.append('"')
            place = end + 2
            continue
        place = end + 1
        if place < len(text) and not text.startswith(dialect.delimiter, place):
            raise BadRowError(
                f"a quoted field does not end as it should: {dialect} expected after the quote in "
                f"{text[max(0, end - 10) : end + 10]!r}"
            )
        return "".join(parts), text, place, at


def _check_swallowed(lines: Sequence[bytes], sign: str, width: int) -> None:
    """Refuse a cell over several lines, each of which is as wide as a row."""
    if all(line.decode().count(sign) + 1 == width for line in lines):
        raise BadRowError(
            f"a quoted field runs over {len(lines)} lines that each look like a row: close its "
            "quote, or double it if it is a sign of the text"
        )


def decimal_comma(cells: Iterable[str], place: str, decimal: str = "auto") -> bool:
    """Whether numbers are written as 1,5: some have a comma, and none a point before digits.

    Args:
        cells: of the columns of numbers.
        place: names them, for errors.
        decimal: one of `DECIMALS`.

    Raises:
        InputError: 1,234 may be a thousand and more, or 1.234, and no cell says which.
    """
    if decimal != "auto":
        return decimal == "comma"
    found, doubtful = False, ""
    for cell in cells:
        if not isinstance(cell, str):
            continue
        if "." in cell and _POINT.fullmatch(cell):
            return False
        if "," in cell and _COMMA.fullmatch(cell):
            if _THOUSAND.fullmatch(cell):
                doubtful = doubtful or cell.strip()
            else:
                found = True
    if doubtful and not found:
        raise InputError(
            f"{place}: {doubtful!r} may be a decimal number or a thousand and more, and no cell "
            "says which: choose --decimal comma, or write thousands without a sign between them"
        )
    return found
