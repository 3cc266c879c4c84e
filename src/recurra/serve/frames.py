"""What streams of each task read and say over a connection: frames in, results out, as JSON."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from recurra.errors import FormatError, InputError
from recurra.runtime.streams import Stream, StreamState
from recurra.serve.bodies import read
from recurra.serve.errors import invalid
from recurra.serve.prompts import options_of
from recurra.serve.schema import TOKENS, Schema, Text, WriteMessage
from recurra.tasks.language_model.stream import TextStream
from recurra.tasks.transcriber.stream import TranscriptStream
from recurra.tasks.translator.stream import TranslationStream

#: Steps of a series in a frame, and columns or covariates of one.
_STEPS = 10_000
#: Characters of a word that has not ended: it is looked at again with each frame.
_HELD = 10_000
#: Characters of a source: it is translated in one go, in the square of its length.
_SOURCE = 10_000


class Streamed(ABC):
    """A stream of one task, with what it is opened with.

    Args:
        model: the model.
        asked: fields of `open` besides model and state.
        state: where it begins, if not at the start.

    options: the schema of those fields. piece: items of a frame that are read at a time, so that
    others are served between; 0 where a frame is one thing. most: items of a whole stream, where
    what is kept grows with them.
    """

    options: ClassVar[type[Schema]]
    piece: int = 256
    most: int | None = None

    def __init__(self, model: Any, asked: Any, state: StreamState | None) -> None:
        self.model, self.asked = model, asked
        self.stream: Stream[Any, Any, Any, Any] = self.open(model, asked, state)

    @abstractmethod
    def open(self, model: Any, asked: Any, state: StreamState | None) -> Any:
        """The stream."""

    @abstractmethod
    def frame(self, value: Any) -> Any:
        """A frame of a JSON value, or of bytes; ApiError where it cannot be one."""

    @abstractmethod
    def told(self, results: Sequence[Any]) -> Any:
        """What the pieces of a frame gave, as JSON."""

    def finished(self, last: Any) -> Any:
        """What `finish` returned, as JSON."""
        return self.told([last])

    def write(self, asked: WriteMessage) -> Iterator[dict[str, Any]]:
        """Messages of a text that is written."""
        raise invalid("write: this model writes no text: use finish", "type", "wrong_task")

    def count(self, frame: Any) -> int:
        """How many items a frame adds to what is kept."""
        return len(frame)

    def check(self) -> None:  # noqa: B027, what most have no need of
        """After a frame: ApiError where what waits for its end is too long."""


class _TextOptions(Schema):
    """Of a language model: how many candidates each result names."""

    top: Annotated[int, Field(ge=0, le=20)] = 5


class TextStreamed(Streamed):
    """A language model: a text, or ids, and what is expected next."""

    stream: TextStream
    options, most = _TextOptions, TOKENS

    def open(self, model: Any, asked: Any, state: StreamState | None) -> Any:
        """See `Streamed.open`."""
        return model.open_stream(state=state)

    def frame(self, value: Any) -> Any:
        """A text, or ids."""
        ids = isinstance(value, list) and all(type(id) is int for id in value)
        if not (isinstance(value, str) or (ids and all(0 <= id < 1 << 31 for id in value))):
            raise invalid("frame: expected a text, or ids", "frame")
        return value

    def told(self, results: Sequence[Any]) -> Any:
        """What is expected next; null where nothing was read yet."""
        token = results[-1]
        if token is None:
            return None
        best = token.top(self.asked.top)
        return {"id": token.id, "text": str(token), "top": [one._asdict() for one in best]}

    def write(self, asked: WriteMessage) -> Iterator[dict[str, Any]]:
        """A message for each token."""
        given = options_of(asked, self.model.tokenizer, max_tokens=asked.max_tokens)
        yield {"type": "writing", "seed": given.seed}
        for piece in self.stream.write_with("", given):
            done = piece.generation
            yield {"type": "piece", "text": piece.text, "id": piece.id,
                   "finish_reason": None if done is None else done.stop_reason}  # fmt: skip


class _NoOptions(Schema):
    """Of a task without any."""


class LabelStreamed(Streamed):
    """A classifier: a piece of a text, or steps of numbers, and the label of all so far."""

    options = _NoOptions

    def open(self, model: Any, asked: Any, state: StreamState | None) -> Any:
        """See `Streamed.open`."""
        if model.config.pooling == "attention":
            self.most = TOKENS
        if not model.config.reads_text:
            self.piece = 0  # rows of numbers cost little, and one may be a list of its own
        return model.open_stream(state=state)

    def frame(self, value: Any) -> Any:
        """A text, or a list of steps."""
        if self.model.config.reads_text:
            return _text(value)
        return _steps(value)

    def count(self, frame: Any) -> int:
        """Characters, or steps."""
        return len(frame) if np.ndim(frame) or isinstance(frame, str) else 1

    def check(self) -> None:
        """A word has to end at some time."""
        held = len(self.stream.place.held)
        if held > _HELD:
            raise invalid(
                f"frame: expected a word to end within {_HELD:,} characters, received {held:,} "
                "without a blank",
                "frame",
            )

    def told(self, results: Sequence[Any]) -> Any:
        """The label, and all probabilities."""
        return results[-1].to_dict()


class TagStreamed(Streamed):
    """A tagger: words, and the tags that are certain."""

    options, piece, most = _NoOptions, 64, TOKENS

    def open(self, model: Any, asked: Any, state: StreamState | None) -> Any:
        """See `Streamed.open`."""
        return model.open_stream(state=state)

    def frame(self, value: Any) -> Any:
        """A word, or a list of words."""
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise invalid("frame: expected a word, or a list of words", "frame")
        return words

    def told(self, results: Sequence[Any]) -> Any:
        """The tags."""
        return {"tags": [str(tag) for tags in results for tag in tags]}


class _ForecastOptions(Schema):
    """Of a forecaster: the series up to now, CSV as a text, and what is drawn with."""

    data: Text | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    levels: (
        Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1, max_length=99)]
        | None
    ) = None


class ForecastStreamed(Streamed):
    """A forecaster: values, and what follows them. Draws are counted by frames: none is cut."""

    options, piece = _ForecastOptions, 0

    def open(self, model: Any, asked: Any, state: StreamState | None) -> Any:
        """See `Streamed.open`."""
        more = {"seed": asked.seed, "levels": asked.levels}
        if asked.data is None:
            return model.open_stream(state=state, **more)
        with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
            path = Path(folder) / "series.csv"
            path.write_text(asked.data, encoding="utf-8", errors="replace")
            try:
                return model.open_stream(path, state=state, **more)
            except (InputError, FormatError) as error:
                raise InputError(str(error).replace(str(path), "data")) from None

    def frame(self, value: Any) -> Any:
        """Values; with covariates `{"values", "known", "ahead"}`."""
        from recurra.tasks.forecaster.stream_place import Observed

        if not isinstance(value, dict):
            return _steps(value)
        if not {"values"} <= set(value) <= {"values", "known", "ahead"}:
            raise invalid("frame: expected values, known and ahead", "frame")
        known = _steps(value["known"]) if value.get("known") is not None else ()
        ahead = _steps(value["ahead"]) if value.get("ahead") is not None else None
        return Observed(_steps(value["values"]), known, ahead)

    def count(self, frame: Any) -> int:
        """A forecaster keeps its last window alone."""
        return 0

    def told(self, results: Sequence[Any]) -> Any:
        """The forecast."""
        return results[-1].to_dict()


class _SoundOptions(Schema):
    """Of a transcriber: samples a second, how they are written, and the search."""

    rate: Annotated[int, Field(ge=1000, le=768_000)] | None = None
    samples: Annotated[str, Field(pattern="^(float32|int16)$")] = "float32"
    beams: Annotated[int, Field(ge=1, le=64)] | None = None
    bonus: Annotated[float, Field(ge=-100, le=100)] | None = None


class SoundStreamed(Streamed):
    """A transcriber: samples, in binary messages, and the text that is certain."""

    stream: TranscriptStream
    options, piece = _SoundOptions, 16_000

    def open(self, model: Any, asked: Any, state: StreamState | None) -> Any:
        """See `Streamed.open`."""
        given = {"rate": asked.rate, "beams": asked.beams, "bonus": asked.bonus}
        given = {name: value for name, value in given.items() if value is not None}
        return model.open_stream(state=state, **given)

    def frame(self, value: Any) -> Any:
        """Samples: bytes of little-endian numbers, or a list."""
        if isinstance(value, list):
            samples = _steps(value)
            if samples.ndim != 1:
                raise invalid("frame: expected samples, one after the other", "frame")
            return samples
        if not isinstance(value, bytes):
            raise invalid("frame: expected samples: bytes, or a list of numbers", "frame")
        kind = np.dtype("<i2" if self.asked.samples == "int16" else "<f4")
        if len(value) % kind.itemsize:
            raise invalid(
                f"frame: expected whole samples of {kind.itemsize} bytes, received {len(value)}",
                "frame",
            )
        samples = np.frombuffer(value, kind).astype(np.float32)
        return samples / np.float32(32768) if kind.kind == "i" else samples

    def told(self, results: Sequence[Any]) -> Any:
        """The text that stays, and with beams what is heard so far."""
        certain = {"text": "".join(results)}
        beams = self.asked.beams or 1
        return certain if beams == 1 else {**certain, "so_far": self.stream.text}


class _TranslateOptions(Schema):
    """Of a translator: the search."""

    beams: Annotated[int, Field(ge=1, le=64)] | None = None
    n_best: Annotated[int, Field(ge=1, le=64)] | None = None
    length_penalty: Annotated[float, Field(ge=0, le=10)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None


class SourceStreamed(Streamed):
    """A translator: pieces of a source, and at its end the translation."""

    stream: TranslationStream
    options, most = _TranslateOptions, _SOURCE

    def open(self, model: Any, asked: Any, state: StreamState | None) -> Any:
        """See `Streamed.open`. A state has options of its own, which anybody could have written."""
        if state is not None and state.kind == "translator":
            _check_source(state)
        return model.open_stream(state=state, **asked.model_dump(exclude_none=True))

    def frame(self, value: Any) -> Any:
        """A text."""
        return _text(value)

    def told(self, results: Sequence[Any]) -> Any:
        """Nothing, until the end."""
        return None

    def finished(self, last: Any) -> Any:
        """The translation."""
        return last.to_dict()

    def write(self, asked: WriteMessage) -> Iterator[dict[str, Any]]:
        """A message for each token; the options are those the stream was opened with."""
        if set(asked.model_fields_set) - {"type"}:
            raise invalid("write: a translation is written as its stream was opened", "write")
        yield {"type": "writing", "seed": None}
        for text in self.stream.write():
            ended = "stop" if self.stream.ended else None
            yield {"type": "piece", "text": text, "id": None, "finish_reason": ended}


def _check_source(state: StreamState) -> None:
    """ApiError for a state of more than a stream may be opened with, or have read."""
    told = state.values.get("options")
    own = told if isinstance(told, dict) else {}
    read({name: own[name] for name in _TranslateOptions.model_fields if name in own},
         _TranslateOptions)  # fmt: skip
    for name, most in (("source", 4 * _SOURCE), ("ids", 4096)):
        size = state.arrays[name].size if name in state.arrays else 0
        if size > most:
            raise invalid(f"state: {name}: expected up to {most:,}, received {size:,}", "state")


#: By task; what writes text, of whatever kind, is a `TextStreamed`.
KINDS: dict[str, type[Streamed]] = {
    "sequence_classifier": LabelStreamed,
    "sequence_tagger": TagStreamed,
    "forecaster": ForecastStreamed,
    "transcriber": SoundStreamed,
    "translator": SourceStreamed,
}


def pieces(streamed: Streamed, frame: Any) -> list[Any]:
    """A frame as what is read at a time."""
    size = streamed.piece
    if not size or len(frame) <= size:
        return [frame]
    return [frame[at : at + size] for at in range(0, len(frame), size)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise invalid("frame: expected a text", "frame")
    return value


def _steps(value: Any) -> np.ndarray:
    """Numbers in lists, null where one is missing."""
    rows = value if isinstance(value, list) else [value]
    flat = [x for row in rows for x in (row if isinstance(row, list) else [row])]
    if not all(x is None or type(x) in (int, float) for x in flat) or len(rows) > _STEPS:
        raise invalid(f"frame: expected up to {_STEPS:,} numbers, or lists of them", "frame")
    try:
        return np.array(value, np.float64)
    except (ValueError, OverflowError):
        raise invalid("frame: expected lists of one length, of numbers", "frame") from None
