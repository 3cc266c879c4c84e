"""JSON, strictly: bounded size and depth, no NaN, no duplicate keys, integers of any size."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ..errors import FormatError, InputError
from .disk import read_file, write_file

SIZE_LIMIT = 64 << 20
DEPTH_LIMIT = 64

# Possessive: what has matched is not kept for a second try, 122 bytes a character.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)
_COLON = re.compile(r"\s*:")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+|(?:\.[0-9]+)?[eE][-+]?[0-9]+)")


class _NotStrictError(ValueError):
    """JSON that Python's reader takes and this one refuses."""


def read_json(path: str | Path, *, limit: int = SIZE_LIMIT, depth: int = DEPTH_LIMIT) -> Any:
    """The value in a JSON file of at most `limit` bytes, nested at most `depth` deep.

    Raises FormatError naming the file, line and column.
    """
    data = read_file(Path(path), limit=limit)
    # A list of a few characters takes a hundred bytes.
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > max(limit // 8, 1 << 10):
        raise FormatError(
            f"{path}: expected a few values, as a file of this kind has, received {values:,}: "
            "restore it from a copy"
        )
    return parse_json(data, str(path), depth=depth)


def parse_json(data: bytes, where: str, *, depth: int = DEPTH_LIMIT) -> Any:
    """The value of JSON bytes; `where` names their source in a FormatError."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{where}: expected JSON in UTF-8, received another byte at offset {error.start}: "
            "restore it from a copy"
        ) from None
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
        )
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise FormatError(
            f"{where}: line {error.lineno} column {error.colno}: not JSON: {reason}: restore it "
            "from a copy"
        ) from None
    except RecursionError:
        _refuse(text, where, depth)
    except _NotStrictError:
        _refuse(text, where, depth)
    except ValueError as error:  # an integer longer than Python's limit of digits
        raise FormatError(
            f"{where}: expected JSON, received what cannot be read ({error}): restore it from a "
            "copy"
        ) from None
    if _depth_exceeds(value, depth):
        _refuse(text, where, depth)
    return value


def dump_json(value: Any, *, indent: int | None = None, where: str = "value") -> bytes:
    """JSON bytes (UTF-8, a final newline) of dicts with string keys, lists, strings and numbers.

    Tuples are written as lists. Anything that would not come back the same otherwise (NaN,
    infinity, keys that are no strings, objects) is an InputError naming its place.
    """
    _check(value, where)
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode()
    except UnicodeEncodeError:  # half of a surrogate pair: only the escaped form can carry it
        return (json.dumps(value, indent=indent) + "\n").encode()
    except ValueError as error:
        raise InputError(
            f"{where}: cannot be written as JSON ({error}): give plain values"
        ) from None


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write a JSON file whole or not at all, and durably. Raises InputError."""
    write_file(Path(path), [dump_json(value, indent=indent, where=str(path))])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _NotStrictError
    return result


def _constant(name: str) -> NoReturn:
    raise _NotStrictError(name)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _NotStrictError(digits)
    return value


def _depth_exceeds(value: Any, depth: int) -> bool:
    level: list[Any] = [[value]]
    for _ in range(depth + 1):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _refuse(text: str, where: str, depth: int) -> NoReturn:
    """Find what the fast reader refused, to say where it stands."""
    keys: list[set[str] | None] = []  # of each open object; None for an open list
    for token in _TOKEN.finditer(text):
        word, reason = token[0], ""
        if word in "[{":
            keys.append(set() if word == "{" else None)
            if len(keys) > depth:
                reason = f"nested deeper than {depth}"
        elif word in "]}":
            keys.pop()
        elif word[0] == '"':
            inside = keys[-1] if keys else None
            if inside is not None and _COLON.match(text, token.end()):
                key = json.loads(word)
                if key in inside:
                    reason = f"the key {word[:80]} stands twice in one object"
                inside.add(key)
        elif word.lstrip("-").startswith(("NaN", "Infinity")):  # the fast reader looks no further
            reason = f"{word[:80]} is not JSON"
        elif (number := _DECIMAL.match(word)) and math.isinf(float(number[0])):
            reason = f"{word[:80]} is too large for a number"
        if reason:
            line = text.count("\n", 0, token.start()) + 1
            column = token.start() - text.rfind("\n", 0, token.start())
            raise FormatError(f"{where}: line {line} column {column}: {reason}: correct it")
    raise FormatError(f"{where}: expected JSON, received what cannot be read: write the file anew")


def _check(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(
                    f"{where}: the key {key!r} cannot be written as JSON: use a string"
                )
            _check(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{where}: {value} cannot be written as JSON: use null")
    elif value is not None and not isinstance(value, str | int):
        raise InputError(
            f"{where}: a {type(value).__name__} cannot be written as JSON: "
            "give a string, number, list or dict"
        )
