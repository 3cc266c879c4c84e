"""The only way to open a file of a user's: its kind, size and depth are bounded before it is read.

A path may be a pipe that nobody writes to, a device without end, or a sparse file of terabytes, and
a few bytes of an archive may unpack to all memory. `LIMITS` is the one table of what is allowed;
`RECURRA_LIMIT_<NAME>` in the environment changes a row.
"""

import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

from ..errors import FormatError, InputError

#: Name: the most there may be, and what it is of.
LIMITS: dict[str, tuple[int, str]] = {
    "json": (64 << 20, "bytes of a JSON file of a model"),
    "json_depth": (64, "lists and objects inside one another in a JSON file"),
    "manifest": (16 << 20, "bytes of a manifest.json"),
    "data": (4 << 30, "bytes of a table, an archive or a sound that is read whole"),
    "unpacked": (4 << 30, "bytes that one file or member unpacks to"),
    "expansion": (1100, "times the size of a packed file that it may unpack to"),
    "onnx": ((1 << 31) - 1, "bytes of an ONNX file, as in protobuf"),
    "onnx_memory": (1 << 30, "bytes that an ONNX graph may hold while it runs, or"),
    "onnx_growth": (64, "times its weights and inputs, where that is more"),
    "scan_steps": (1 << 22, "steps of all Scan operators of one run of an ONNX graph"),
}

_SMALL = 1 << 20


def limit(name: str) -> int:
    """A row of `LIMITS`, as the environment changes it. InputError for what is no number."""
    variable = f"RECURRA_LIMIT_{name.upper()}"
    given = os.environ.get(variable)
    if given is None:
        return LIMITS[name][0]
    if not given.isascii() or not given.isdigit() or not 0 < len(given) < 19:
        raise InputError(f"{variable}: expected a whole number from 0 on, received {given[:40]!r}")
    return int(given)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file; never waits on a pipe, reads a device, or is fooled by a swap.

    Raises OSError, and FormatError for what is no regular file.
    """
    # What is opened is what is looked at; without O_NONBLOCK a pipe waits for its writer, and
    # before opening, a look: some devices act when they are opened.
    _check(path, os.stat(path).st_mode)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    try:
        _check(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise FormatError(f"{path}: is {kind}, a file was expected")
