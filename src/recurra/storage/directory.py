"""Directories that appear whole or not at all."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import FormatError, InputError
from . import disk
from .lock import RunLock
from .manifest import NAME, read_manifest, verify_manifest, write_manifest

#: Temporaries that a call of this process is filling now.
_being_written: set[Path] = set()
_OLD = re.compile(r"\.(.+)\.old-\d+")


@contextmanager
def atomic_directory(
    target: str | Path,
    *,
    kind: str = "directory",
    extra: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Iterator[Path]:
    """Give an empty temporary sibling of `target` to fill; at the end it becomes `target`.

    Every file is brought to the disk and hashed, `manifest.json` written last, the folder put in
    its place, and the whole read back and verified. After any failure, in the body too, the
    temporary is gone and what stood at `target` is untouched.

    An older directory at `target` is swapped with the new one in one step where the system has
    such a step (Linux, macOS): at no moment is there no valid directory at that name. Elsewhere
    it waits as the sibling `.NAME.old-PID` until the new one is verified. It is replaced only if
    all that it holds is named in its manifest; `replace=True` says that whatever is there is ours.

    Raises InputError for a full disk, for a target that holds files of somebody else, and for
    what the system refuses; FormatError if what was written does not verify.
    """
    target = Path(os.path.realpath(target))
    if not replace:
        _check_replaceable(target)
    temporary = disk.temporary_beside(target)
    try:
        disk.make_directory(target.parent)
        if temporary in _being_written:
            raise InputError(f"{target}: is being written by this process already")
        if temporary.exists():  # what an earlier call could not remove
            disk.remove_tree(temporary)
        temporary.mkdir()
    except OSError as error:
        raise disk.failure(target, error) from error
    problem: OSError | None = None
    _being_written.add(temporary)
    try:
        yield temporary
        write_manifest(temporary, kind=kind, extra=extra)
        _publish(temporary, target)
    except (OSError, InputError) as error:
        problem = disk.full(error)
        if problem is None:
            raise
    finally:
        disk.remove_tree(temporary)
        _being_written.discard(temporary)
    if problem is not None:  # told now, when the bytes free no longer miss those just given back
        raise disk.failure(target, problem) from problem


def remove_stale(directory: str | Path, lock: RunLock) -> list[str]:
    """Remove what dead processes were writing into `directory`; says what, one line each.

    A directory that was waiting for the one that replaces it is put back where that never came.
    Only the holder of the lock of the run that `directory` is in, or is, may do so (InputError).
    """
    directory = Path(directory)
    run = lock.directory.resolve()
    if not lock.held or run not in (directory.resolve(), *directory.resolve().parents):
        raise InputError(f"{directory}: only the holder of its run's lock may clean it")
    done = []
    for entry in sorted(directory.iterdir()) if directory.is_dir() else ():
        if disk.is_stale(entry.name):
            disk.remove_tree(entry)
            done.append(f"{entry}: removed, left unfinished by a process that has ended")
        elif match := _OLD.fullmatch(entry.name):
            done.append(_settle_old(entry, directory / match[1]))
    return done


def _settle_old(old: Path, target: Path) -> str:
    if not target.exists():
        old.rename(target)
        return f"{old}: put back as {target.name}, which was being replaced"
    try:
        verify_manifest(target)
    except FormatError as error:
        return f"{old}: kept, because what replaced it is damaged: {error}"
    disk.remove_tree(old)
    return f"{old}: removed, {target.name} has replaced it"


def _publish(temporary: Path, target: Path) -> None:
    try:
        for folder in (*(p for p in temporary.rglob("*") if p.is_dir()), temporary):
            disk.sync_directory(folder)
        if not target.exists():
            os.rename(temporary, target)
            _settle(target, undo=lambda: os.rename(target, temporary))
        elif disk.exchange(temporary, target):
            _settle(target, undo=lambda: disk.exchange(temporary, target))
        else:
            _replace_by_two_renames(temporary, target)
    except OSError as error:
        raise disk.failure(target, error) from error


def _replace_by_two_renames(temporary: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    os.rename(target, old)
    try:
        os.rename(temporary, target)
        _settle(target, undo=lambda: os.rename(target, temporary))
    except BaseException:
        os.rename(old, target)
        raise
    disk.remove_tree(old)


def _settle(target: Path, undo: Callable[[], object]) -> None:
    """Make the new name durable and read everything back; `undo` the naming where that fails."""
    try:
        disk.sync_directory(target.parent)
        verify_manifest(target)
    except BaseException:
        undo()
        raise


def _check_replaceable(target: Path) -> None:
    """Refuse a target that is no directory, or holds what the manifest in it does not name."""
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError(
            f"{target}: expected a directory or nothing, found a file: choose another name"
        )
    found = {p.relative_to(target).as_posix() for p in target.rglob("*") if not p.is_dir()}
    if not found:
        return
    try:
        foreign = sorted(found - {NAME, *read_manifest(target).files})
    except FormatError:
        raise InputError(
            f"{target}: holds files that are not known to be ours ({_some(sorted(found))}): "
            "choose another directory, or remove it"
        ) from None
    if foreign:
        raise InputError(
            f"{target}: would be replaced, but holds files of somebody else ({_some(foreign)}): "
            "move them, or choose another directory"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
