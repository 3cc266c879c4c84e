"""Ctrl-C, SIGTERM and SIGHUP: the first ends the run in good order, a second one at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from recurra.errors import RecurraError


class Interrupted(RecurraError):  # noqa: N818 (an order obeyed, not an error)
    """The run was stopped by a signal and has saved its state; `exit_code` is 129, 130 or 143."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = signal.Signals(number)
        self.exit_code = 128 + number


#: The signals that end a run: Ctrl-C, a request to terminate, a terminal or connection that closed.
NUMBERS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Abandoned(BaseException):
    """Raised inside `Signals.abandonable` to leave work that can be done again."""


class Signals:
    """Listens for `NUMBERS`; `received` is the number of the first that came, or 0.

    Outside the main thread Python takes no signals, and nothing is listened for.
    """

    def __init__(self) -> None:
        self.received = 0
        self._abandon = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + number)
        self.received = number
        if self._abandon:
            self._abandon = False
            raise Abandoned

    @contextmanager
    def listen(self) -> Iterator["Signals"]:
        """Take over the signals inside the block; a SIGHUP that nohup has switched off stays so."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {
            number: signal.signal(number, self._handle)
            for number in NUMBERS
            if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def abandonable(self) -> Iterator[None]:
        """A first signal inside the block raises Abandoned in it instead of waiting for its end."""
        self._abandon = True
        try:
            if self.received:
                raise Abandoned
            yield
        finally:
            self._abandon = False
