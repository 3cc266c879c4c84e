"""Bytes to the disk and back: durable, all or nothing, every failure told in one line."""

import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from ..bounded import NotRegularError, open_regular
from ..errors import FormatError, InputError

# A pid alone does not name a process for ever (a container starts again at 1): the token tells
# the leftovers of an earlier process with our number from what this one is writing.
_TOKEN = os.urandom(4).hex()
_NAME = 180  # bytes of a name that a temporary one keeps: 255 are the most there can be
_TEMPORARY = re.compile(r"\..+\.tmp-(\d+)-([0-9a-f]{8})")


def failure(path: Path, error: OSError) -> InputError:
    """The one line that says what the system refused at `path`, and what to do."""
    if full(error):
        return InputError(
            f"{path}: the disk is full ({_free(path):,} bytes free) and nothing was changed: "
            "free some space or choose another place"
        )
    reason = (error.strerror or str(error)).lower()
    return InputError(f"{path}: {reason}: check the path and its permissions")


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Raise what the system refuses inside the block as the one line of `failure`."""
    try:
        yield
    except OSError as error:
        raise failure(path, error) from error


def full(error: BaseException) -> OSError | None:
    """The system's word that a disk or quota is full: `error`, or what it was raised from."""
    for cause in (error, error.__cause__):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return cause
    return None


def _free(path: Path) -> int:
    from shutil import disk_usage

    while not path.exists() and path != path.parent:
        path = path.parent
    return disk_usage(path).free


def open_file(path: Path) -> BufferedReader:
    """Open a regular file for reading; never waits on a pipe or reads a device.

    Raises FormatError where there is no such file, InputError where it may not be read.
    """
    try:
        return open_regular(path)
    except NotRegularError as error:
        raise FormatError(f"{path}: {error.strerror}: put the file itself there") from None
    except (FileNotFoundError, NotADirectoryError):
        raise FormatError(
            f"{path}: no such file: copied in part? Copy all files of the directory"
        ) from None
    except OSError as error:
        raise failure(path, error) from error
    except ValueError:  # a zero byte, or half of a surrogate pair
        raise FormatError(
            f"{str(path)!r}: expected the name of a file, received a zero byte or half a character "
            "in it: correct the name"
        ) from None


def read_file(path: Path, *, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes, else FormatError."""
    with open_file(path) as file:
        try:
            if os.fstat(file.fileno()).st_size <= limit:
                data = file.read(limit + 1)
                if len(data) <= limit:  # it may have grown meanwhile
                    return data
        except OSError as error:
            raise failure(path, error) from error
    raise FormatError(
        f"{path}: expected at most {limit:,} bytes, the most that a file of this kind has, "
        "received "
        "more: restore it from a copy"
    )


def write_file(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write the parts, one after another, so that `path` holds all of them or what it held.

    Temporary sibling, fsync, rename, fsync of the folder. Raises InputError.
    """
    temporary = temporary_beside(path)
    try:
        try:
            with open(temporary, "xb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                sync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise failure(path, error) from error


def sync(descriptor: int) -> None:
    """Bring a file's bytes to the disk itself."""
    if sys.platform == "darwin":
        import fcntl

        # fsync on macOS stops at the drive's own cache.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return  # Windows does not open folders, and writes their entries through by itself.
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems do not know fsync of a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """`mkdir -p`, each new name durable."""
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(exist_ok=True)
        sync_directory(path.parent)


def exchange(a: Path, b: Path) -> bool:
    """Swap two names in one step of the file system; False where it cannot.

    Linux: renameat2 with RENAME_EXCHANGE. macOS: renamex_np with RENAME_SWAP.
    """
    import ctypes

    here, swap = -100, 2  # AT_FDCWD; both systems chose 2
    names = os.fsencode(a), os.fsencode(b)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return library.renamex_np(*names, swap) == 0
        return library.renameat2(here, names[0], here, names[1], swap) == 0
    except (AttributeError, OSError, TypeError):
        return False


def temporary_beside(path: Path) -> Path:
    """The name under which this process prepares `path`: hidden, on the same file system."""
    name = os.fsdecode(os.fsencode(path.name)[:_NAME])
    return path.with_name(f".{name}.tmp-{os.getpid()}-{_TOKEN}")


def is_stale(name: str) -> bool:
    """Whether `name` is one of our temporaries whose process has ended."""
    match = _TEMPORARY.fullmatch(name)
    if not match:
        return False
    pid, token = int(match[1]), match[2]
    if pid == os.getpid():
        return token != _TOKEN
    return not alive(pid)


def alive(pid: int) -> bool:
    """Whether a process with this number runs on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def discard(path: Path) -> None:
    """Remove a directory so that it is never seen half removed under its name."""
    temporary = temporary_beside(path)
    try:
        os.rename(path, temporary)
    except FileNotFoundError:
        return
    except OSError as error:
        raise failure(path, error) from error
    remove_tree(temporary)


def remove_tree(path: Path) -> None:
    """Remove a folder or file of ours. What the system does not let go stays under its hidden name
    until `remove_stale`: the work is done, and would be reported as failed."""
    from shutil import rmtree

    if path.is_dir() and not path.is_symlink():
        rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
