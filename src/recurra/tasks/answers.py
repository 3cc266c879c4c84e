"""What tasks say of what they left out or switched off: in answers, in files, in cards."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from recurra.errors import InputError
from recurra.given import NOTHING, LeftOut

A = TypeVar("A", bound="Answer")

#: Where in a file something stands, as readers write it behind the file's name.
_PLACE = re.compile(r"(?:, line |, row |, sequence |:)([0-9]+)")


@dataclass(frozen=True)
class Unanswered:
    """Stands in the place of an answer, where an input could not be used; `str` is empty.

    reason: the place of the input, and what is wrong with it. unit: what such inputs are. line:
    whether it takes a line of plain output, as where each input has one.
    """

    reason: str
    unit: str = "rows"
    line: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"left_out": self.reason}

    def __str__(self) -> str:
        return ""


class Answer:
    """Base of what is answered to one input: `to_dict` says all of it as JSON values."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        raise NotImplementedError

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a table of it: one, where it is one thing."""
        return [self.to_dict()]

    def to_frame(self) -> Any:
        """A pandas DataFrame of its rows; InputError where pandas is not installed."""
        return frame_of(self.rows())


class Answers(list[A]):
    """Answers to several inputs, in their order: a list that is also a table."""

    def to_dict(self) -> list[dict[str, Any]]:
        """Those of each, as JSON values."""
        return [one.to_dict() for one in self]

    def to_frame(self) -> Any:
        """A pandas DataFrame of the rows of all; InputError where pandas is not installed."""
        return frame_of([row for one in self for row in one.rows()])


class Figures:
    """Base of scores: their figures as JSON values, and as a table of one row."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        raise NotImplementedError

    def to_frame(self) -> Any:
        """A pandas DataFrame of one row with a column for each figure, those of parts under names
        joined by dots; InputError where pandas is not installed."""
        return frame_of([_flat(self.to_dict())])


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as one."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        name = f"{before}{name}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def frame_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A pandas DataFrame; InputError where pandas is not installed."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise InputError("to_frame: needs pandas: pip install pandas, or use to_dict") from error
    return pandas.DataFrame(list(rows))


def answered(
    answers: Iterable[A],
    places: Sequence[str],
    skipped: Sequence[str],
    *,
    unit: str = "rows",
    line: bool = True,
) -> "Iterator[A | Unanswered]":
    """Answers in the order of the data, with an `Unanswered` for each input that was left out.

    Args:
        answers: one for each of `places`.
        places: "file, line 7" of the inputs that could be read.
        skipped: "file, line 8: reason" of those that could not.
        unit, line: as of `Unanswered`.
    """
    waiting = sorted(skipped, key=_line)[::-1]
    for answer, place in zip(answers, places, strict=True):
        while waiting and _line(waiting[-1]) < _line(place):
            yield Unanswered(waiting.pop(), unit, line)
        yield answer
    while waiting:
        yield Unanswered(waiting.pop(), unit, line)


def _line(place: str) -> int:
    """The number of the line that a place, or a reason that begins with one, is of."""
    found = _PLACE.findall(place.split(": ")[0])
    return int(found[-1]) if found else 0


def notes_of(task: Any) -> dict[str, Any]:
    """What a model directory says of what its training left out or switched off; nothing where
    there is nothing."""
    left_out: LeftOut = getattr(task, "left_out", NOTHING)
    notes = list(getattr(task, "notes", ()))
    told: dict[str, Any] = {"left_out": left_out.to_dict()} if left_out else {}
    return told | ({"notes": notes} if notes else {})


class Tally:
    """Counts answers, and inputs that had none."""

    def __init__(self) -> None:
        self._answers, self._left_out, self._first, self._unit = 0, 0, "", "rows"

    def add(self, answer: Any) -> None:
        """Count one more."""
        if not isinstance(answer, Unanswered):
            self._answers += 1
            return
        if not self._left_out:
            self._first, self._unit = answer.reason, answer.unit
        self._left_out += 1

    @property
    def left_out(self) -> LeftOut:
        """What had no answer."""
        total = self._answers + self._left_out
        return LeftOut(self._left_out, self._first, total, self._unit)


def remarks(training: Mapping[str, Any]) -> str:
    """The lines of a card on what training left out or switched off."""
    lines = [str(LeftOut(**training["left_out"]))] if "left_out" in training else []
    lines += training.get("notes", ())
    return "".join(f"\n- {line[:1].upper()}{line[1:]}.\n" for line in lines)
