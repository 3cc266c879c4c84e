"""The only way to open a file of a user's: its kind, size and depth are bounded before it is read.

A path may be a pipe that nobody writes to, a device without end, or a sparse file of terabytes, and
a few bytes of an archive may unpack to all memory. `LIMITS` is the one table of what is allowed;
`RECURRA_LIMIT_<NAME>` in the environment changes a row.

Raises what the system would, OSError with a reason in words, which every reader tells with the name
of its file.
"""

import errno
import os
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from .errors import InputError

#: Name: the most there may be, and what it is of.
LIMITS: dict[str, tuple[int, str]] = {
    "json": (64 << 20, "bytes of a JSON file of a model"),
    "manifest": (16 << 20, "bytes of a manifest.json"),
    "data": (2 << 30, "bytes of a table, a sound or a tokenizer, which are read whole"),
    "unpacked": (2 << 30, "bytes that one packed file or archive unpacks to, and at most"),
    "expansion": (100, "times its size, where that is more than 64 MiB"),
    "onnx": ((1 << 31) - 1, "bytes of an ONNX file, as in protobuf"),
    "onnx_memory": (1 << 30, "bytes that an ONNX graph may hold while it runs, or"),
    "onnx_growth": (64, "times its weights and inputs, where that is more"),
    "onnx_nodes": (1 << 17, "nodes and constants of an ONNX file, those of inner graphs too"),
    "onnx_work": (1 << 35, "operations on numbers in one run of an ONNX graph, or"),
    "onnx_work_growth": (
        2,
        "times its loops' nodes for each step, and its other nodes and weights for each number",
    ),
    "scan_steps": (1 << 22, "steps of all Scan operators in one run of an ONNX graph"),
}

_SMALL = 64 << 20
_BLOCK = 1 << 20


class Readable(Protocol):
    """What has bytes to read."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""


class NotRegularError(OSError):
    """What lies at a path is no regular file."""


class PackedError(OSError):
    """What was to be unpacked is damaged, or nothing that is packed."""


def limit(name: str) -> int:
    """A row of `LIMITS`, as the environment changes it. InputError for what is no number."""
    variable = f"RECURRA_LIMIT_{name.upper()}"
    given = os.environ.get(variable)
    if given is None:
        return LIMITS[name][0]
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise InputError(f"{variable}: expected a whole number from 0 on, received {given[:40]!r}")
    return int(given)


def is_file(path: Path) -> bool:
    """Whether a file lies there; of what no path can be, or may not be looked at, False."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether a folder lies there, likewise."""
    return stat.S_ISDIR(_mode(path))


def exists(path: Path) -> bool:
    """Whether anything lies there, likewise."""
    return _mode(path) != 0


def _mode(path: Path) -> int:
    # Path.is_file raises for a name that is too long, or a folder that may not be searched.
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return 0


def open_regular(path: Path, *, pipe: bool = False) -> BufferedReader:
    """Open a regular file; never waits for a writer and never reads a device.

    `pipe`: a named one is opened as well, and does not block.
    Raises OSError, NotRegularError among them; ValueError for a path that cannot be one.
    """
    # A look before opening, for devices that act when opened, and one at what was opened.
    _check(os.stat(path).st_mode, pipe)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    try:
        _check(os.fstat(descriptor).st_mode, pipe)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_whole(path: Path, name: str = "data") -> bytes:
    """The bytes of a file of data of at most `limit(name)` bytes.

    It may be a pipe that somebody writes to, as a shell's `<(command)` is.
    Raises OSError, and InputError for a limit that is no number.
    """
    most, first = limit(name), b""
    with open_regular(path, pipe=True) as file:
        status = os.fstat(file.fileno())
        if status.st_size > most:
            raise _too_large(most, name)
        if stat.S_ISFIFO(status.st_mode):
            # Without a writer the system says that the pipe has ended, else that it would block.
            with suppress(BlockingIOError):
                first = os.read(file.fileno(), _BLOCK)
                if not first:
                    raise NotRegularError(errno.EINVAL, "is a pipe that nobody writes to")
            os.set_blocking(file.fileno(), True)
        return first + read_at_most(file, most - len(first), name)


def read_at_most(file: Readable, most: int, name: str) -> bytes:
    """All that is left in a file, unpacked or not, if it is at most that; else OSError."""
    parts, left = [], most
    while part := file.read(min(_BLOCK, left + 1)):
        left -= len(part)
        if left < 0:
            raise _too_large(most, name)
        parts.append(part)
    return b"".join(parts)


def may_unpack_to(size: int) -> int:
    """The most bytes that a packed file of `size` bytes may unpack to in memory."""
    return min(limit("unpacked"), may_grow_to(size))


def may_grow_to(size: int) -> int:
    """The most bytes that a packed file of `size` bytes may unpack to, read in pieces."""
    return max(_SMALL, limit("expansion") * size)


#: How every gzip file begins.
GZIP = b"\x1f\x8b"


def gunzip(data: bytes) -> bytes:
    """The bytes of a gzip file. Raises OSError: too many of them; PackedError."""
    import io

    if data and not data.startswith(GZIP):
        raise PackedError("expected a gzip file, received one that is not packed so")
    return read_at_most(Unpacked(io.BytesIO(data)), may_unpack_to(len(data)), "expansion")


class Unpacked:
    """A gzip file that is read from start to end. Raises PackedError where it is damaged."""

    def __init__(self, file: Readable) -> None:
        import gzip
        import zlib

        self._file = gzip.GzipFile(fileobj=file)  # type: ignore[call-overload]
        self._damaged = (EOFError, gzip.BadGzipFile, zlib.error)

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        try:
            data: bytes = self._file.read(size)
        except self._damaged as error:
            raise PackedError(f"the gzip file is damaged or cut short: {error}") from None
        return data


class Counted:
    """A file that is read from start to end, and raises OSError beyond `most` bytes."""

    def __init__(self, file: Readable, most: int) -> None:
        self._file, self._left, self._most = file, most, most

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        data = self._file.read(min(size, _BLOCK))
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._most, "expansion")
        return data


def _too_large(most: int, name: str) -> OSError:
    if name == "expansion":
        what = f"unpacks to more than the {most:,} bytes that are allowed for its size"
    else:
        what = f"longer than the {most:,} bytes that are read"
    return OSError(errno.EFBIG, f"{what} (RECURRA_LIMIT_{name.upper()} changes that)")


def _check(mode: int, pipe: bool) -> None:
    if stat.S_ISREG(mode) or (pipe and stat.S_ISFIFO(mode)):
        return
    kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    raise NotRegularError(number, f"is {kind}, a file was expected")
