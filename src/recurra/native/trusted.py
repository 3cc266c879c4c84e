"""Folders that nobody but the user and root can change: opened component by component.

Loading a compiled file runs its code. A path that was checked and is opened again may by then lead
elsewhere, where somebody else can rename one of its folders. So each folder is opened from the one
above it, without following links, and what is checked is what was opened.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Of folders on the way, which need not be readable.
_WAY = _DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)
#: Symbolic links followed at most, as the system itself does.
_LINKS = 40


class UnusableError(Exception):
    """A folder or file that cannot be used, or not safely: which, and why, in one line."""


def open_folder(path: Path, *, make: bool = True) -> tuple[int, Path]:
    """Open a folder.

    Args:
        path: absolute.
        make: make it and those above it where they are missing, for the user alone.

    Returns:
        A descriptor, which the caller closes, and the path without links.

    Raises:
        UnusableError: the folder, one above it, or a link on the way is not the user's or root's,
            or others can write to it. Those with a sticky bit, as /tmp, are let pass: in them only
            its owner renames a file. The folder itself must be the user's.
        OSError: it cannot be opened or made.
    """
    left, links = _parts(str(path)), 0
    here, place = os.open(os.sep, _WAY), Path(os.sep)
    try:
        _check_folder(os.fstat(here), place)
        while left:
            name = left.pop(0)
            if name == "..":
                left = [*place.parent.parts[1:], *left]
                here, place = _changed(here, os.open(os.sep, _WAY)), Path(os.sep)
                continue
            target = _link(here, name, place)
            if target is not None:
                links += 1
                if links > _LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
                left = _parts(target) + left
                if target.startswith(os.sep):
                    here, place = _changed(here, os.open(os.sep, _WAY)), Path(os.sep)
                continue
            here, place = _changed(here, _below(here, name, make=make)), place / name
            _check_folder(os.fstat(here), place)
        _check_own(os.fstat(here), place)
        here = _changed(here, os.open(".", _DIRECTORY | os.O_RDONLY, dir_fd=here))
    except BaseException:
        os.close(here)
        raise
    return here, place


def open_file(folder: int, name: str, where: Path, flags: int = os.O_RDONLY) -> int:
    """Open a plain file of the user's in an opened folder; `where` is its path for messages.

    Raises:
        UnusableError: it is another's, others can write to it, or it is no plain file.
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK a fifo would be waited for.
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        found = os.fstat(file)
        _check_own(found, where)
        if not stat.S_ISREG(found.st_mode):
            raise UnusableError(f"{where} is no plain file")
    except BaseException:
        os.close(file)
        raise
    return file


def read(file: int) -> bytes:
    """Return all that an opened file holds."""
    with open(file, "rb", closefd=False) as opened:
        opened.seek(0)
        return opened.read()


def _parts(path: str) -> list[str]:
    return [part for part in path.split(os.sep) if part not in ("", ".")]


def _changed(old: int, new: int) -> int:
    os.close(old)
    return new


def _link(folder: int, name: str, place: Path) -> str | None:
    """Where a symbolic link leads; None for what is none, or not there."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(found.st_mode):
        return None
    if found.st_uid not in (0, os.geteuid()):
        raise UnusableError(f"{place / name} is a link of another user")
    return os.readlink(name, dir_fd=folder)


def _below(folder: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, _WAY, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):  # another process was faster
            os.mkdir(name, 0o700, dir_fd=folder)
        return os.open(name, _WAY, dir_fd=folder)


def _check_folder(found: os.stat_result, place: Path) -> None:
    """Refuse a folder in which another user can rename what is in it."""
    if found.st_uid not in (0, os.geteuid()):
        raise UnusableError(f"{place} belongs to another user")
    if _writable(found) and not found.st_mode & stat.S_ISVTX:
        raise UnusableError(f"others can write to {place}")


def _check_own(found: os.stat_result, where: Path) -> None:
    """Refuse what another user may have written, or can."""
    if found.st_uid != os.geteuid():
        raise UnusableError(f"{where} belongs to another user")
    if _writable(found):
        raise UnusableError(f"others can write to {where}")


def _writable(found: os.stat_result) -> int:
    return found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
