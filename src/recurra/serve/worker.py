"""A thread that works for requests, one piece of work after the other."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

R = TypeVar("R")


class Worker:
    """One thread, which begins with its first work and lasts as long as the process.

    What nobody waits for any more is not begun; what was begun comes to its end before anything
    else does. Threads of a pool would be as many as clients that left.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = (
            SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self.busy = False

    async def do(self, work: Callable[[], R]) -> R:
        """The result of some work, or what it raises."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if self._thread is None:
            # A daemon: the end of a server does not wait for what nobody waits for.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put((future, work))
        return await future

    def stop(self) -> None:
        """End the thread, after what it does now."""
        self._queue.put(None)

    def _run(self) -> None:
        while (asked := self._queue.get()) is not None:
            future, work = asked
            if future.cancelled():
                continue
            self.busy = True
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # it is the one's who waits
                error = raised
            self.busy = False
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)
            del asked, future, work, result, error  # nothing of it stays while nothing is asked


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
