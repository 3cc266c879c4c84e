"""Compiled files that processes share: one folder, the user's alone.

Beside each file `NAME.so` is its SHA-256 in `NAME.sha256`, which is also the file that whoever
compiles holds locked. A file is used only where the two agree, so that a damaged one is made anew,
and only where nobody else could have written it, for loading a file runs its code.
"""

import fcntl
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Load = Callable[[Path], T]


class UnusableError(Exception):
    """The folder cannot be used, or not safely: which, and why, in one line."""


def folder() -> Path:
    """Return where compiled cells are kept: in RECURRA_CACHE, else in the user's cache folder.

    Raises:
        UnusableError: the user has no home.
    """
    if asked := os.environ.get("RECURRA_CACHE"):
        return Path(asked).absolute() / "cells"
    if os.path.isabs(base := os.environ.get("XDG_CACHE_HOME", "")):
        return Path(base) / "recurra" / "cells"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise UnusableError("no cache folder: the user has no home") from error
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return home / caches / "recurra" / "cells"


def obtain(name: str, make: Callable[[Path], None], load: Load[T]) -> T:
    """Return what `load` makes of the file of that name, which `make` writes where it must.

    Processes that ask at the same time wait for the one that makes it.

    Args:
        name: of the file, without a suffix; it must stand for everything the content depends on.
        make: writes the file to a path. What it raises is not caught.
        load: raises RuntimeError where the file cannot be loaded.

    Raises:
        UnusableError: see there.
    """
    place = _opened()
    path = place / f"{name}.so"
    found = _good(path, load)
    if found is not None:
        return found
    try:
        with _locked(path) as record:
            found = _good(path, load)  # another process may have made it meanwhile
            if found is None:
                _write(path, record, make)
                found = load(path)
            return found
    except OSError as error:
        raise UnusableError(f"{place} cannot be written ({error.strerror or error})") from error
    except RuntimeError as error:
        raise UnusableError(f"what is in {place} cannot be loaded ({error})") from error


def any_of(prefix: str, load: Load[T]) -> T | None:
    """Return what `load` makes of a file whose name begins so; None where there is none."""
    for path in sorted(_opened().glob(f"{prefix}*.so")):
        found = _good(path, load)
        if found is not None:
            return found
    return None


def _opened() -> Path:
    """The folder, made where it was not."""
    place = folder()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = place.resolve(strict=True)
        _check(place)
        for parent in place.parents:
            mode = parent.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise UnusableError(f"{place}: everyone can write to {parent}")
    except OSError as error:
        raise UnusableError(f"{place} cannot be made ({error.strerror or error})") from error
    return place


def _check(path: Path) -> None:
    """Refuse what another user may have written, or can."""
    found = path.lstat()
    if found.st_uid != os.geteuid():
        raise UnusableError(f"{path} belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or stat.S_ISLNK(found.st_mode):
        raise UnusableError(f"others can write to {path}")


def _good(path: Path, load: Load[T]) -> T | None:
    """What the file holds; None where it is not there, damaged, or does not load."""
    record = path.with_suffix(".sha256")
    try:
        _check(path)
        _check(record)
        if hashlib.sha256(path.read_bytes()).hexdigest() != record.read_text(errors="replace"):
            return None
        return load(path)
    except (OSError, RuntimeError):  # made for another system, by the same compiler
        return None


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold the lock of a file while it is made; gives its open record."""
    record = os.open(path.with_suffix(".sha256"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: at worst several make the same
            fcntl.flock(record, fcntl.LOCK_EX)
        yield record
    finally:
        os.close(record)


def _write(path: Path, record: int, make: Callable[[Path], None]) -> None:
    """Make the file and put it in place whole, then write its record."""
    for left in path.parent.glob(f"{path.stem}.*.part"):  # of a process that was killed
        left.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(".part", f"{path.stem}.", path.parent)
    os.close(descriptor)
    part = Path(name)
    try:
        make(part)
        part.chmod(0o700)
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    os.ftruncate(record, 0)
    os.pwrite(record, digest.encode(), 0)
