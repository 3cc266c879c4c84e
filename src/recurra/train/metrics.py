"""metrics.jsonl: one JSON object a line, each step at most once, whole after any kill.

JSON has no NaN: a number that is not finite is written as the string "NaN", "Infinity" or
"-Infinity", and `read_metrics` turns it back.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.bounded import exists
from recurra.errors import FormatError
from recurra.storage.disk import open_file, refusals_named

_LINE = 1 << 20  # bytes, more than a record ever had
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsWriter:
    """Appends to a metrics file, after cutting off what lies beyond `step`.

    What the system refuses is raised as InputError; a line written in part is left out by
    `read_metrics` and cut off by the next writer.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        end = 0
        for end_of_line, record in _lines(path):
            if record["step"] > step:
                break
            end = end_of_line
        self._path = path
        with refusals_named(path):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
            self._file.truncate(end)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one line and hand it to the system, so that only a power cut can take it."""
        line = json.dumps(encode(dict(record)), allow_nan=False).encode() + b"\n"
        with refusals_named(self._path):
            written = self._file.write(line)
            if written != len(line):  # the next write would say why
                self._file.write(line[written:])

    def sync(self) -> None:
        """Bring the file to the disk: before a checkpoint that counts on its lines."""
        with refusals_named(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The records of a metrics file; a torn last line is left out.

    Raises FormatError for any other line that is no record.
    """
    return [record for _, record in _lines(Path(path))]


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each whole record with the offset of its end."""
    if not exists(path):
        return
    end = 0
    with refusals_named(path), open_file(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(_LINE), b""), 1):
            if not line.endswith(b"\n") and len(line) < _LINE:
                return
            end += len(line)
            try:
                record = decode(json.loads(line))
                record["step"] = int(record["step"])
            except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
                raise FormatError(
                    f"{path}: line {number} is no record of a training run: repair or remove it"
                ) from None
            yield end, record


def encode(value: Any) -> Any:
    """The value with numbers that are not finite as strings, in dicts too."""
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def decode(value: Any) -> Any:
    """What `encode` was given."""
    if isinstance(value, dict):
        return {key: decode(item) for key, item in value.items()}
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
