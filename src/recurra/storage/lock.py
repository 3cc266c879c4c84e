"""One trainer a run."""

import errno
import json
import os
import time
import weakref
from pathlib import Path
from types import TracebackType

from ..errors import FormatError, InputError
from .disk import failure, make_directory
from .jsonfile import read_json


class RunLock:
    """Hold `directory/lock` while a run is trained: `with RunLock(run): ...`.

    The lock is the kernel's (flock), so it ends with its process however that ends and is never
    stale; what the file says (process, host, start) only serves the message that a second trainer
    gets as InputError. The file is never removed: a lock on a removed file guards nothing.

    A process started with exec does not inherit it, and a forked child closes its copy at once;
    otherwise a data worker that outlives a killed trainer would keep the run locked. Release is by
    closing alone, because an unlock in a child would free the parent's lock too.
    """

    def __init__(self, directory: str | Path) -> None:
        """Of the run in `directory`; not held yet."""
        self.directory = Path(directory)
        self.path = self.directory / "lock"
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object, in this process, holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock, making the directory where it is missing. Raises InputError."""
        if self.held:
            raise InputError(f"{self.directory}: this lock is held already: release it first")
        try:
            import fcntl
        except ImportError:
            raise InputError(
                f"{self.directory}: training needs file locks (flock), which this system lacks: "
                "train on Linux or macOS"
            ) from None
        descriptor = None
        try:
            make_directory(self.directory)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _holder(), 0)
        except BlockingIOError:
            message = self._taken()
            _close(descriptor)
            raise InputError(message) from None
        except OSError as error:
            _close(descriptor)
            if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise InputError(
                    f"{self.path}: this file system has no file locks: choose another --out"
                ) from error
            raise failure(self.path, error) from error
        self._descriptor = descriptor
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _release(this()))

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "RunLock":
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        self.release()

    def _taken(self) -> str:
        try:
            holder = read_json(self.path, limit=1 << 16)
            who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (FormatError, ValueError, KeyError, TypeError):  # it is just being written
            who = "another process"
        return f"{self.directory}: is being trained by {who}; stop it or choose another --out"


def _holder() -> bytes:
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return json.dumps({"pid": os.getpid(), "host": os.uname().nodename, "since": since}).encode()


def _release(lock: RunLock | None) -> None:
    if lock is not None:
        lock.release()


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
