"""Changes of bytes, of lines and cells, of JSON values, and of named arrays."""

import copy
import json

import numpy as np

from recurra.storage.tensors import DTYPES

#: What may stand where something else was.
VALUES = (
    None, True, False, 0, 1, -1, 2, 3, 7, 1 << 16, 1 << 31, 10**9, 1 << 62, 10**30, -(10**9),
    0.5, -0.5, 1e300, 1e-300, "", "a", "lstm", "0", "../../etc/passwd", "\0", "\ud800", "é" * 300,
    [], [0], [10**9], [None], ["a", "a"], [[]], {}, {"a": 1}, {"": None},
)  # fmt: skip

#: Cells of tables, words of sentences, parts of lines.
WORDS = (
    b"", b" ", b"0", b"-1", b"1e400", b"-1e-400",
    b"nan", b"inf", b"-Infinity", b"NA", b"null", b"?",
    b"1,5", b"1.234,56", b"1_000", b"0x10", b"\xd9\xa1\xd9\xa2", b"9" * 400, b"1" * 5000, b"\xff",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0", b"\x1a",
    b"\x0b", b"\xe2\x80\xa8", b"\xc2\x85", b'"', b'""',
    b'"a""b"', b'"a\nb"', b"'", b"a;b", b"\t", b"|", b"sep=;", b"#", b"-DOCSTART-", b"1-2", b"1.1",
    b"0.1", b"2-1", b"x" * 300, b"{}", b"[]", b'{"a":1,"a":2}', b"[" * 3000, b"NaN",
    b"0001-01-01", b"0000-00-00", b"9999-12-31",
    b"10000-01-01", b"2024-02-30", b"2024-02-29T24:00:00Z",
    b"1970-01-01T00:00:00+25:00", b"31/12/2024", b"12/31/2024", b"2024-W53-7", b"2024Q5", b"1e18",
    b"99999999999999999999", b"-9223372036854775808",
    b"12:60", b"2024-03-31 02:30:00", b"../../a.wav",
    b"/etc/passwd", b"a.tar/b.wav", b"\xf0\x9f\x92\xa9",
)  # fmt: skip

ENDS = (b"\n", b"\r\n", b"\r", b"\n\n", b"\n\r", b"")
_NUMBERS = (
    0,
    1,
    2,
    3,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)


def some_bytes(data, chance):
    """Bits turned, parts left out, doubled, exchanged, cut, and numbers put in their place."""
    data = bytearray(data)
    for _ in range(1 + chance.randrange(4)):
        at = chance.randrange(len(data) + 1)
        how = chance.randrange(7)
        size = 1 + chance.randrange(1 + min(len(data), 1 << chance.randrange(8)))
        if how == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif how == 1 and at < len(data):
            data[at] = chance.randrange(256)
        elif how == 2:
            del data[at : at + size]
        elif how == 3:
            data[at:at] = data[at : at + size]
        elif how == 4:
            width = 1 << chance.randrange(4)
            order = chance.choice(("little", "big"))
            number = chance.choice(_NUMBERS) & ((1 << 8 * width) - 1)
            data[at : at + width] = number.to_bytes(width, order)
        elif how == 5:
            data[at:at] = chance.choice(WORDS)[:64]
        else:
            del data[at:]
    return bytes(data)


def table(data, chance, delimiters=(b",", b";", b"\t", b"|")):
    """Cells, rows, line ends, delimiters and encodings of a table changed."""
    present = [sign for sign in delimiters if sign in data] or [delimiters[0]]
    sign = present[0]
    rows = [line.split(sign) for line in data.replace(b"\r\n", b"\n").split(b"\n")]
    for _ in range(1 + chance.randrange(4)):
        at, how = chance.randrange(len(rows)), chance.randrange(9)
        row = rows[at]
        cell = chance.randrange(len(row))
        if how < 4:
            row[cell] = chance.choice(WORDS)
        elif how == 4:
            del row[cell]
            row = row or [b""]
        elif how == 5:
            row.insert(cell, chance.choice((row[cell], *WORDS)))
        elif how == 6:
            rows.insert(at, list(rows[chance.randrange(len(rows))]))
        elif how == 7 and len(rows) > 1:
            del rows[at]
        else:
            column = chance.choice(WORDS)
            for other in rows:
                if cell < len(other):
                    other[cell] = column
        rows = [row or [b""] for row in rows]
    joined = sign if chance.random() < 0.8 else chance.choice(delimiters)
    end = b"\n" if chance.random() < 0.7 else chance.choice(ENDS)
    return encoded(end.join(joined.join(row) for row in rows), chance)


def encoded(data, chance):
    """Mostly as it is; else in another encoding or with a mark."""
    how = chance.randrange(24)
    if how == 0:
        return b"\xef\xbb\xbf" + data
    if how in (1, 2, 3):
        name = ("utf-16", "utf-32", "utf-16-be")[how - 1]
        return data.decode("utf-8", "replace").encode(name)
    if how == 4:
        return b"\xff\xfe" + data
    return data


def places(value, path=()):
    """The path of every value inside a value."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, len(value) // 2, len(value) - 1} & set(range(len(value)))):
            yield from places(value[index], (*path, index))


def change(value, path, chance):
    """A copy with another value at the path, or without it, or with it twice."""
    whole = copy.deepcopy(value)
    if not path:
        return chance.choice(VALUES)
    at = whole
    for step in path[:-1]:
        at = at[step]
    how, old = chance.random(), at[path[-1]]
    if how < 0.1:
        del at[path[-1]]
    elif how < 0.15 and isinstance(at, dict):
        at[f"{path[-1]}_"] = old
    elif how < 0.4 and isinstance(old, int | float) and not isinstance(old, bool):
        at[path[-1]] = chance.choice((old + 1, old - 1, old * 2, -old, float(old), str(old)))
    elif how < 0.3 and isinstance(old, str | list):
        at[path[-1]] = chance.choice((old + old, old[:-1], old[::-1]))
    else:
        at[path[-1]] = chance.choice(VALUES)
    return whole


def json_value(value, chance):
    """A value with one to three changes."""
    for _ in range(1 + chance.randrange(3)):
        value = change(value, chance.choice(list(places(value))), chance)
    return value


def json_bytes(data, chance):
    """JSON with other values, or written otherwise than strictly."""
    text = json.dumps(json_value(json.loads(data), chance))
    how = chance.randrange(16)
    if how == 0:
        text = text.replace("null", "NaN").replace("true", "-Infinity")
    elif how == 1:
        text = text.replace(", ", ', "a": 1, "a": 2, ', 1)
    elif how == 2:
        text = text.replace("0", "1" * 5000, 1)
    elif how == 3:
        text = text.replace("1", "[" * 5000, 1)
    return encoded(text.encode("utf-8", "surrogatepass"), chance)


def json_lines(data, chance):
    """Some lines of JSON changed, doubled or left out."""
    lines = data.split(b"\n")
    for _ in range(1 + chance.randrange(3)):
        at, how = chance.randrange(len(lines)), chance.randrange(8)
        if how < 5 and lines[at].strip():
            try:
                lines[at] = json_bytes(lines[at], chance)
            except (ValueError, RecursionError):
                lines[at] = some_bytes(lines[at], chance)
        elif how == 5:
            lines.insert(at, lines[at])
        elif how == 6 and len(lines) > 1:
            del lines[at]
        else:
            lines[at] = chance.choice(WORDS)
    return (b"\n" if chance.random() < 0.8 else chance.choice(ENDS)).join(lines)


def tensors(named, chance):
    """One array more, less, or with another dtype, shape or contents."""
    changed = dict(named)
    name = chance.choice(sorted(changed))
    old = changed[name]
    how = chance.randrange(8)
    if how == 0:
        del changed[name]
    elif how == 1:
        changed[f"{name}_"] = old
    elif how in (2, 3):
        with np.errstate(all="ignore"):
            changed[name] = old.astype(DTYPES[chance.choice(sorted(DTYPES))])
    elif how == 4:
        shapes = ((0,), (), (1,) * 20, (0, 1 << 40), old.shape[::-1], (*old.shape, 1))
        shape = chance.choice((*shapes, tuple(n + 1 for n in old.shape)))
        changed[name] = np.resize(old, shape) if 0 not in shape else np.zeros(shape, old.dtype)
    elif how == 5:
        changed[name] = old[: max(0, len(old) - 1)] if old.ndim else old
    elif how == 6:
        numbers = (np.nan, np.inf, 3e38, -3e38, 1e-45, 0)
        changed[name] = (
            np.full_like(old, chance.choice(numbers)) if old.dtype.kind == "f" else old * 0 - 1
        )
    else:
        other = chance.choice(sorted(changed))
        changed[name], changed[other] = changed[other], changed[name]
    return changed
