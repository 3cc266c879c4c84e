"""Callbacks: any function, or any object with the events it wants."""

from collections.abc import Iterable
from typing import Any

from recurra.errors import InputError
from recurra.given import shown
from recurra.train.events import Callback, FitResult, Start, StepDone, Validation

EVENTS = ("on_start", "on_step", "on_validation", "on_end")
_KNOWN = f"{', '.join(EVENTS[:-1])} and {EVENTS[-1]}"


class _Some:
    """An object that wants some of the events, as one that takes all."""

    def __init__(self, wanted: Any) -> None:
        self._call = {name: getattr(wanted, name, None) for name in EVENTS}

    def _tell(self, name: str, event: Any) -> None:
        if (call := self._call[name]) is not None:
            call(event)

    def on_start(self, event: Start) -> None:
        self._tell("on_start", event)

    def on_step(self, event: StepDone) -> None:
        self._tell("on_step", event)

    def on_validation(self, event: Validation) -> None:
        self._tell("on_validation", event)

    def on_end(self, result: FitResult | None) -> None:
        self._tell("on_end", result)


class _All(_Some):
    """A function, which gets every event."""

    def __init__(self, call: Any) -> None:
        self._call = dict.fromkeys(EVENTS, call)


def watchers(callbacks: Iterable[Any]) -> tuple[Callback, ...]:
    """The callbacks with all events.

    An object gets the events it has methods for. A function gets each event, whatever it is: a
    `Start`, each `StepDone` and `Validation`, and at the end a `FitResult`, or None where an error
    or a signal ended the run.

    Raises:
        InputError: one is neither, is a class, or waits for an event that does not exist.
    """
    return tuple(_watcher(given, number) for number, given in enumerate(callbacks))


def _watcher(given: Any, number: int) -> Callback:
    where = f"callbacks, number {number + 1}"
    if isinstance(given, type):
        raise InputError(f"{where}: expected an object, received the class: {given.__name__}(…)")
    names = [n for n in dir(given) if n.startswith("on_") and callable(getattr(given, n, None))]
    wanted = [name for name in names if name in EVENTS]
    unknown = [name for name in names if name not in EVENTS]
    if unknown:
        raise InputError(
            f"{where}: {type(given).__name__} waits for {unknown[0]}, which never comes: "
            f"the events are {_KNOWN}"
        )
    if len(wanted) == len(EVENTS):
        return given
    if wanted:
        return _Some(given)
    if callable(given):
        return _All(given)
    raise InputError(
        f"{where}: expected a function, or an object with some of {_KNOWN}, received {shown(given)}"
    )
