"""Compiled files that processes share: one folder, the user's alone.

Beside each file `NAME.so` is its SHA-256 in `NAME.sha256`, which is also the file that whoever
compiles holds locked. A file is used only where the two agree, so that a damaged one is made anew,
and only where nobody else could have written it, for loading a file runs its code. What is loaded
are the very bytes that were compared, from memory, and not what a path leads to by then.
"""

import fcntl
import hashlib
import itertools
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from recurra.native import trusted
from recurra.native.trusted import UnusableError

__all__ = ["UnusableError", "any_of", "folder", "obtain", "once", "usable_folder"]

T = TypeVar("T")
Load = Callable[[str], T]
Make = Callable[[Path], None]

_loads = itertools.count()


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
        home = Path.home().absolute()
    except RuntimeError as error:
        raise UnusableError("no cache folder: the user has no home") from error
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return home / caches / "recurra" / "cells"


def usable_folder() -> Path:
    """Return that folder, which need not be there yet.

    Raises:
        UnusableError: it cannot be used, or not safely.
    """
    path = folder()
    try:
        opened, _ = trusted.open_folder(path, make=False)
    except FileNotFoundError:
        return path
    except OSError as error:
        raise UnusableError(f"{path} cannot be opened ({error.strerror or error})") from error
    os.close(opened)
    return path


def obtain(name: str, make: Make, load: Load[T]) -> T:
    """Return what `load` makes of the file of that name, which `make` writes where it must.

    Processes that ask at the same time wait for the one that makes it.

    Args:
        name: of the file, without a suffix; it must stand for everything the content depends on.
        make: writes the file to a path. What it raises is not caught.
        load: raises RuntimeError where the file cannot be loaded.

    Raises:
        UnusableError: see there.
    """
    with _opened(folder()) as (opened, place):
        found = _good(opened, place, name, load)
        if found is not None:
            return found
        try:
            with _locked(opened, place, name) as record:
                found = _good(opened, place, name, load)  # another process may have made it
                if found is None:
                    content = _write(opened, place, name, record, make)
                    found = _load(content, place / f"{name}.so", load)
                return found
        except OSError as error:
            raise UnusableError(f"{place} cannot be written ({error.strerror or error})") from error
        except RuntimeError as error:
            raise UnusableError(f"what is in {place} cannot be loaded ({error})") from error


def any_of(prefix: str, load: Load[T]) -> T | None:
    """Return what `load` makes of a file whose name begins so; None where there is none."""
    with _opened(folder()) as (opened, place):
        for entry in sorted(os.listdir(opened)):
            name, suffix = os.path.splitext(entry)
            if suffix == ".so" and name.startswith(prefix):
                found = _good(opened, place, name, load)
                if found is not None:
                    return found
    return None


def once(place: Path, make: Make, load: Load[T]) -> T:
    """Return what `load` makes of what `make` writes, of which nothing is left in the folder.

    Raises:
        UnusableError, OSError: the folder cannot be used, or written to.
        RuntimeError: of `load`.
    """
    with _opened(place) as (opened, at), _made(opened, at, "cell", make) as content:
        return _load(content, None, load)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, Path]]:
    """A folder, made where it was not, as a descriptor and a path without links."""
    try:
        opened, place = trusted.open_folder(path)
    except OSError as error:
        raise UnusableError(f"{path} cannot be made ({error.strerror or error})") from error
    try:
        yield opened, place
    finally:
        os.close(opened)


def _good(opened: int, place: Path, name: str, load: Load[T]) -> T | None:
    """What the file holds; None where it is not there, damaged, or does not load."""
    try:
        content = _content(opened, place, f"{name}.so")
        record = _content(opened, place, f"{name}.sha256")
        if hashlib.sha256(content).hexdigest().encode() != record:
            return None
        return _load(content, place / f"{name}.so", load)
    except (OSError, RuntimeError):  # made for another system, by the same compiler
        return None


def _content(opened: int, place: Path, name: str) -> bytes:
    file = trusted.open_file(opened, name, place / name)
    try:
        return trusted.read(file)
    finally:
        os.close(file)


def _load(content: bytes, path: Path | None, load: Load[T]) -> T:
    """Load a copy in memory; the file itself only on systems that have no such thing.

    `path` is in folders that only the user and root can change; None: there is no file.
    """
    memory = _in_memory(content)
    if memory is not None:
        # The loader takes a name that it has seen for what it has loaded under it, and numbers of
        # descriptors come again: each load has a spelling of its own.
        count = next(_loads)
        spelling = "".join("/." if count >> bit & 1 else "/" for bit in range(20))
        try:
            return load(f"/proc/self/fd{spelling}/{memory}")
        except RuntimeError:  # also where the system forbids it
            if path is None:
                raise
        finally:
            os.close(memory)
    if path is None:
        raise RuntimeError("this system loads nothing from memory")
    return load(str(path))


def _in_memory(content: bytes) -> int | None:
    """A file that has no path; None on systems without such."""
    if not hasattr(os, "memfd_create"):
        return None
    try:
        memory = os.memfd_create("recurra-cell", os.MFD_CLOEXEC)
    except OSError:
        return None
    with open(memory, "wb", closefd=False) as file:
        file.write(content)
    return memory


@contextmanager
def _locked(opened: int, place: Path, name: str) -> Iterator[int]:
    """Hold the lock of a file while it is made; gives its open record."""
    entry = f"{name}.sha256"
    record = trusted.open_file(opened, entry, place / entry, os.O_RDWR | os.O_CREAT)
    try:
        with suppress(OSError):  # a file system without locks: at worst several make the same
            fcntl.flock(record, fcntl.LOCK_EX)
        yield record
    finally:
        os.close(record)


def _write(opened: int, place: Path, name: str, record: int, make: Make) -> bytes:
    """Make the file and put it in place whole, then write its record; gives the content."""
    for entry in os.listdir(opened):  # of a process that was killed
        if entry.startswith(f"{name}.") and entry.endswith(".part"):
            _remove(opened, place, entry)
    with _made(opened, place, name, make) as content:
        part = f"{name}.{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(part, flags, 0o700, dir_fd=opened), "wb") as file:
                file.write(content)
            os.rename(part, f"{name}.so", src_dir_fd=opened, dst_dir_fd=opened)
        finally:
            _remove(opened, place, part)
    os.ftruncate(record, 0)
    os.pwrite(record, hashlib.sha256(content).hexdigest().encode(), 0)
    return content


@contextmanager
def _made(opened: int, place: Path, name: str, make: Make) -> Iterator[bytes]:
    """What `make` writes, in a folder that is there meanwhile and that others cannot enter."""
    part = f"{name}.{secrets.token_hex(8)}.part"
    os.mkdir(part, 0o700, dir_fd=opened)
    try:
        make(place / part / "cell.so")
        inside = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened)
        try:
            file = os.open("cell.so", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside)
            try:
                content = trusted.read(file)
            finally:
                os.close(file)
        finally:
            os.close(inside)
        yield content
    finally:
        _remove(opened, place, part)


def _remove(opened: int, place: Path, entry: str) -> None:
    """Remove a file or folder, where it is there."""
    try:
        os.unlink(entry, dir_fd=opened)
    except FileNotFoundError:
        pass
    except OSError:  # a folder
        shutil.rmtree(place / entry, ignore_errors=True)
