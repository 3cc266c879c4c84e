"""The n-th call of anything that changes the disk fails."""

import builtins
import ctypes
import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
_CALLS = ("fsync", "replace", "rename", "mkdir", "unlink", "ftruncate", "pwrite")


class Faults:
    """Counts the calls that change the disk; the one with number `at` fails, and none after it.

    `reached` says whether there was such a call, `what` which.
    """

    def __init__(self, at: int, error: int) -> None:
        self.at, self.error, self.count, self.what = at, error, 0, ""

    @property
    def reached(self) -> bool:
        return bool(self.what)

    def happen(self, what: str) -> None:
        self.count += 1
        if self.count == self.at:
            self.what = what
            raise OSError(self.error, os.strerror(self.error), "/somewhere")


class _Raw(io.FileIO):
    """A file whose writes may fail, half written."""

    faults: Faults

    def write(self, data: object) -> int:
        try:
            self.faults.happen("write")
        except OSError:
            super().write(bytes(data)[: len(bytes(data)) // 2])
            raise
        return super().write(data)


@contextmanager
def failing(at: int, error: int = errno.EIO, *, exchange: bool = True) -> Iterator[Faults]:
    """Let call number `at` fail. Without `exchange` no two names can be swapped in one step."""
    faults = Faults(at, error)
    kept = {name: getattr(os, name) for name in _CALLS}
    plain, library = builtins.open, ctypes.CDLL

    def wrapped(name, call):
        def change(*arguments, **options):
            faults.happen(name)
            return call(*arguments, **options)

        return change

    def opened(file, mode="r", buffering=-1, *more, **options):
        if not set(mode) & set("wxa+") or "b" not in mode:
            return plain(file, mode, buffering, *more, **options)
        faults.happen("open")
        raw = _Raw(file, mode.replace("b", ""))
        raw.faults = faults
        return raw if buffering == 0 else io.BufferedWriter(raw)

    for name, call in kept.items():
        setattr(os, name, wrapped(name, call))
    builtins.open = opened
    if not exchange:
        ctypes.CDLL = lambda *a, **k: (_ for _ in ()).throw(OSError("no library"))
    try:
        yield faults
    finally:
        for name, call in kept.items():
            setattr(os, name, call)
        builtins.open, ctypes.CDLL = plain, library


assert shutil  # imported before `os` is changed: it keeps functions of it
