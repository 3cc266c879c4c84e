"""Sequences that are read as they come: one protocol for whatever reads step by step.

`model.open_stream()` gives a `Stream`: `push` reads a frame, or several, and returns what they add;
`finish` reads the end. However a sequence is cut into pushes, the results are those of the whole,
bit for bit. `stream.state` is a value: it can be kept, compared, written to a file, and given to
any number of streams of the same model, which then go on independently. `push_many` lets many
streams take a step together, each with the bits that it would have alone.

A stream holds an immutable place and a `Reader` that makes the next place of it. A push that
raises leaves the place as it was.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Generic, Self, TypeVar

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import listed, shown
from recurra.runtime.stream_state import Saved, StreamState
from recurra.storage import ModelFiles

Place = TypeVar("Place")
Frame = TypeVar("Frame")
Result = TypeVar("Result")
Last = TypeVar("Last")
Batch = TypeVar("Batch")


class Identity:
    """What tells a model from others, worked out when it is first asked for."""

    def __init__(self, find: Callable[[], str]) -> None:
        self._find = find

    @classmethod
    def of(cls, files: ModelFiles, precision: str) -> "Identity":
        """That of a model that was loaded in some precision."""
        return cls(lambda: files.sha256 + ("" if precision == "float32" else f"-{precision}"))

    @cached_property
    def text(self) -> str:
        """It."""
        return self._find()

    def __reduce__(self) -> tuple[Any, ...]:
        return _known, (self.text,)


def _known(text: str) -> Identity:
    return Identity(lambda: text)


class Reader(ABC, Generic[Place, Frame, Result, Last]):
    """What a model does for its streams. Places are values: no method changes one.

    kind: what states of such streams say they are of, the task's name as model directories have it.
    """

    kind: str

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @property
    def model(self) -> str:
        """What tells the model from others: a state goes on in the same one only."""
        return self._identity.text

    @abstractmethod
    def advance(
        self, places: Sequence[Place], frames: Sequence[Frame]
    ) -> Sequence[tuple[Place, Result]]:
        """Read a frame, or several, at each of N places: the places after them, the results.

        Raises:
            InputError: a frame that cannot be read.
        """

    @abstractmethod
    def end(self, place: Place) -> tuple[Place, Last]:
        """Read the end of a sequence: the place there, and what only the end makes certain."""

    @abstractmethod
    def pack(self, place: Place) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A place as arrays and JSON values."""

    @abstractmethod
    def unpack(self, saved: Saved) -> Place:
        """The place that `pack` wrote; FormatError for anything else."""


class Stream(Generic[Place, Frame, Result, Last]):
    """One sequence that is read as it comes. Two threads may read two streams of one model.

    Args:
        reader: of the model.
        place: where the stream begins.
    """

    def __init__(self, reader: Reader[Place, Frame, Result, Last], place: Place) -> None:
        self._reader, self._place = reader, place
        self._ended = False

    def push(self, frame: Frame) -> Result:
        """Read a frame, or several: what they add.

        Raises:
            InputError: a frame that cannot be read, or the stream has ended; it stays as it was.
        """
        return push_many([self], [frame])[0]

    def finish(self) -> Last:
        """Read the end: what only that makes certain. Nothing can be pushed after it.

        Raises:
            InputError: the stream has ended already, or may not end here; it stays as it was.
        """
        self._check_open("finish")
        place, last = self._reader.end(self.place)
        self._move(place, ended=True)
        return last

    def at(self, state: StreamState | None) -> Self:
        """This stream, moved to a state where one is given."""
        if state is not None:
            self.state = state
        return self

    def fork(self) -> Self:
        """Another stream at the same place, which goes on by itself. Costs nothing."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._place = self.place
        return made

    def __copy__(self) -> Self:
        return self.fork()

    @property
    def ended(self) -> bool:
        """Whether `finish` was called."""
        return self._ended

    @property
    def place(self) -> Place:
        """Where the stream stands, as its reader has it; opaque to others."""
        return self._place

    @property
    def state(self) -> StreamState:
        """Where the stream stands, as a value; assign one of the same model to go on from there."""
        arrays, values = self._reader.pack(self.place)
        values = {**values, "ended": self._ended}
        return StreamState(self._reader.kind, self._reader.model, arrays, values)

    @state.setter
    def state(self, value: StreamState) -> None:
        place, ended = restored(self._reader, value)
        self._move(place, ended=ended)

    def _move(self, place: Place, *, ended: bool = False) -> None:
        self._place, self._ended = place, ended

    def _check_open(self, what: str) -> None:
        if self._ended:
            raise InputError(
                f"{what}: this stream has ended: open another, or assign an earlier state"
            )


def push_many(
    streams: Sequence[Stream[Any, Frame, Result, Any]], frames: Sequence[Frame]
) -> list[Result]:
    """Let streams of one model take a step together, each with a frame (or several) of its own.

    Each gets the result, bit for bit, that `push` would give it. All of them move, or none.

    Raises:
        InputError: streams of several models, one of them twice or ended, as many frames as there
            are no streams, or a frame that cannot be read.
    """
    many = listed(streams, "push_many", "a list of streams")
    given = list(frames) if isinstance(frames, list | tuple) else listed(frames, "push_many", "")
    if len(many) != len(given):
        raise InputError(
            f"push_many: expected a frame for each stream, received {len(many)} streams and "
            f"{len(given)} frames"
        )
    if not many:
        return []
    for number, one in enumerate(many):
        if not isinstance(one, Stream):
            raise InputError(f"push_many: stream {number}: expected one, received {shown(one)}")
        one._check_open("push")
    reader = many[0]._reader
    if len(many) > 1:
        if len({id(one) for one in many}) != len(many):
            raise InputError("push_many: expected each stream once: fork one to use it twice")
        if not all(_same(one._reader, reader) for one in many):
            raise InputError("push_many: expected streams of one model: step others by themselves")
    found = reader.advance([one.place for one in many], given)
    for one, (place, _) in zip(many, found, strict=True):
        one._move(place)
    return [result for _, result in found]


def restored(reader: Reader[Place, Any, Any, Any], state: Any) -> tuple[Place, bool]:
    """The place that a state says, and whether its stream had ended.

    Raises:
        InputError: it is no state, or one of another model or task.
        FormatError: it is damaged.
    """
    if not isinstance(state, StreamState):
        raise InputError(
            f"state: expected the `state` of a stream, or StreamState.load of its file, received "
            f"{shown(state)}"
        )
    if state.kind != reader.kind:
        raise InputError(
            f"state: expected one of a stream of a {reader.kind}, received one of a {state.kind}: "
            "give it to a model of that kind"
        )
    if state.model != reader.model:
        raise InputError(
            f"state: expected one of this model ({reader.model[:12]}…), received one of another "
            f"({state.model[:12]}…): load the model that it was taken from, in the same precision"
        )
    saved = Saved(state)
    try:
        return reader.unpack(saved), saved.flag("ended")
    except InputError as error:
        raise FormatError(f"state: {error}: take it anew") from error


def _same(one: Reader[Any, Any, Any, Any], other: Reader[Any, Any, Any, Any]) -> bool:
    return one is other or (one.kind, one.model) == (other.kind, other.model)


def check_direction(*, bidirectional: bool) -> None:
    """Raise InputError where layers read in both directions, and so need whole sequences."""
    if bidirectional:
        raise InputError(
            "streaming: this model also reads from the end to the start: train one with "
            "bidirectional=False"
        )


class Row(Generic[Batch]):
    """One row of what some streams' layers hold; rows of one batch are stepped without a copy.

    It keeps the whole batch: what is stored longer is taken out with `alone`.
    """

    __slots__ = ("batch", "index", "of")

    def __init__(self, batch: Batch, index: int = 0, of: int = 1) -> None:
        self.batch, self.index, self.of = batch, index, of

    def alone(self, select: Callable[[Batch, np.ndarray], Batch]) -> Batch:
        """The row as a batch of one."""
        return self.batch if self.of == 1 else select(self.batch, np.array([self.index]))


def gather(
    rows: Sequence[Row[Batch]],
    select: Callable[[Batch, np.ndarray], Batch],
    join: Callable[[Sequence[Batch]], Batch],
) -> Batch:
    """Rows as one batch, in their order."""
    first = rows[0]
    if all(row.batch is first.batch for row in rows):
        indices = [row.index for row in rows]
        if len(rows) == first.of and indices == list(range(first.of)):
            return first.batch
        return select(first.batch, np.array(indices))
    return join([row.alone(select) for row in rows])


def rows_of(batch: Batch, count: int) -> list[Row[Batch]]:
    """The rows of a batch."""
    return [Row(batch, index, count) for index in range(count)]
