"""A text that a language model reads as it comes, and writes on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from recurra.errors import InputError
from recurra.generate import Carried, Options, Piece
from recurra.generate.loop import plan_of_stream, write_on
from recurra.generate.plan import Plan, Prompt, first_ids
from recurra.generate.result import Top
from recurra.generate.sampling import largest, log_sum_exp, most_probable
from recurra.generate.writer import CONTEXT
from recurra.given import shown
from recurra.runtime.history import History
from recurra.runtime.states import pack
from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Identity, Reader, Row, Stream, gather, rows_of
from recurra.text import Tokenizer

#: Tokens of a text that are read at once, which bounds memory.
_SEGMENT = 1024
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class NextToken:
    """What a model expects after what was read; `str` is the text of the most probable token.

    logits: (V,) float32.
    """

    logits: np.ndarray
    _read: History
    _tokenizer: Tokenizer

    @cached_property
    def log_probabilities(self) -> np.ndarray:
        """ln P (V,) of each token, float64."""
        z = self.logits.astype(np.float64)
        found: np.ndarray = z - log_sum_exp(z)
        return found

    @cached_property
    def id(self) -> int:
        """The most probable token but `<unk>`, ties to the lowest number."""
        z = self.logits.astype(np.float64)
        if self._tokenizer.unk_id is not None:
            z[self._tokenizer.unk_id] = -np.inf
        return int(largest(z, 1)[0])

    def top(self, n: int) -> Top:
        """The `n` most probable tokens, best first, each with its text and ln P."""
        z = self.logits.astype(np.float64)
        return most_probable(self._tokenizer, z, log_sum_exp(z), min(n, len(z)))

    def __str__(self) -> str:
        decoder = self._tokenizer.decoder(after=self._read.rows[-CONTEXT:].tolist())
        return decoder.push(self.id) + decoder.finish()


@dataclass(frozen=True, eq=False)
class TextPlace:
    """Where a text stands.

    ids: its tokens. unread: those that the layers have still to read, from the end. held: its last
    characters, as long as what follows may change their token. row: the layers' states. logits: of
    the next token; None where something is unread, or nothing was read. led: whether the layers
    began with what stands for an empty prompt. drawn: random numbers used up.
    """

    ids: History
    unread: np.ndarray
    held: str
    row: Row[Any]
    logits: np.ndarray | None = None
    led: bool = False
    drawn: int = 0


Frame = str | int | Sequence[int] | np.ndarray


class TextReader(Reader[TextPlace, Frame, NextToken | None, NextToken]):
    """Reads texts with a model that steps, of whatever kind."""

    kind = "language_model"

    def __init__(self, steps: Any, tokenizer: Tokenizer, identity: Identity) -> None:
        super().__init__(identity)
        self.steps, self.tokenizer = steps, tokenizer
        self._start: Row[Any] = Row(steps.start(1))

    def begin(self, carried: Carried | None = None) -> TextPlace:
        """The place before any token, or where an earlier generation stopped."""
        if carried is None:
            return TextPlace(History(np.zeros(0, np.int32)), _NONE, "", self._start)
        ids = np.asarray(carried.ids, np.int32)
        unread = ids[-1:].astype(np.int64)
        return TextPlace(History(ids), unread, "", Row(carried.state), drawn=carried.drawn)

    def advance(
        self, places: Sequence[TextPlace], frames: Sequence[Frame]
    ) -> list[tuple[TextPlace, NextToken | None]]:
        """See `Reader.advance`."""
        pairs = zip(places, frames, strict=True)
        read = self._read([self._taken(place, frame) for place, frame in pairs])
        return [(place, self._expected(place)) for place in read]

    def end(self, place: TextPlace) -> tuple[TextPlace, NextToken]:
        """See `Reader.end`."""
        (read,) = self._read([self.whole(place)])
        found = self._expected(read)
        assert found is not None
        return read, found

    def whole(self, place: TextPlace, text: str = "") -> TextPlace:
        """The place with all of its text as tokens, and `text` behind it."""
        ids = self.tokenizer.encode(place.held + text) if place.held or text else _NONE
        place = self._longer(place, ids, "")
        if not len(place.ids) and not place.led:
            first = first_ids(self.tokenizer).astype(np.int64)
            place = replace(place, unread=first, led=True, logits=None)
        return place

    def pack(self, place: TextPlace) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `Reader.pack`."""
        arrays = {"ids": place.ids.rows, "unread": place.unread}
        if hasattr(self.steps, "unpack"):
            arrays |= pack(place.row)
            if place.logits is not None:
                arrays["logits"] = place.logits
        return arrays, {"held": place.held, "led": place.led, "drawn": place.drawn}

    def unpack(self, saved: Saved) -> TextPlace:
        """See `Reader.unpack`."""
        ids, unread = (
            saved.array("ids", (None,), np.int32),
            saved.array("unread", (None,), np.int64),
        )
        for name, tokens in (("ids", ids), ("unread", unread)):
            if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.steps.vocab_size:
                raise saved.wrong(name, f"tokens below {self.steps.vocab_size}")
        made = TextPlace(
            History(ids),
            unread,
            saved.text("held"),
            self._start,
            led=saved.flag("led"),
            drawn=saved.whole("drawn", 0),
        )
        if hasattr(self.steps, "unpack"):
            logits = None
            if saved.has("logits"):
                logits = saved.array("logits", (self.steps.vocab_size,), np.float32)
            return replace(made, row=Row(self.steps.unpack(saved)), logits=logits)
        # What such a model holds has no names: it reads the text again.
        again = np.concatenate([first_ids(self.tokenizer) if made.led else _NONE, ids])
        again = again[: max(0, len(again) - len(unread))].astype(np.int64)
        (read,) = self._read([replace(made, unread=again)])
        return replace(read, unread=unread, logits=None if len(unread) else read.logits)

    def _taken(self, place: TextPlace, frame: Frame) -> TextPlace:
        """The place with the tokens of a frame, still unread."""
        if isinstance(frame, str):
            text = place.held + frame
            end = self.tokenizer.cut(text)
            ids = self.tokenizer.encode(text[:end]) if end else _NONE
            return self._longer(place, ids, text[end:])
        try:
            ids = np.atleast_1d(np.asarray(frame))
        except (TypeError, ValueError):
            ids = np.zeros((0, 0))
        size = self.steps.vocab_size
        whole = ids.ndim == 1 and (ids.dtype.kind in "iu" or not ids.size)
        if not whole or (ids.size and not 0 <= ids.min() <= ids.max() < size):
            raise InputError(
                f"push: expected a text, or tokens from 0 to {size - 1}, received {shown(frame)}"
            )
        if place.held:
            place = self._longer(place, self.tokenizer.encode(place.held), "")
        return self._longer(place, ids, "")

    def _longer(self, place: TextPlace, ids: np.ndarray, held: str) -> TextPlace:
        if not len(ids):
            return place if held == place.held else replace(place, held=held)
        unread = np.concatenate([place.unread, ids]).astype(np.int64)
        return TextPlace(
            place.ids.extended(ids), unread, held, place.row, None, place.led, place.drawn
        )

    def _read(self, places: list[TextPlace]) -> list[TextPlace]:
        """The places when nothing of them is unread."""
        places = list(places)
        while waiting := [k for k, place in enumerate(places) if len(place.unread)]:
            some = [places[k].unread[:_SEGMENT] for k in waiting]
            lengths = np.array([len(ids) for ids in some])
            state = gather([places[k].row for k in waiting], self.steps.select, self._join)
            if lengths.max() == 1:
                logits, state = self.steps.step(np.concatenate(some), state)
            else:
                ids = np.zeros((len(some), lengths.max()), np.int64)
                for row, tokens in enumerate(some):
                    ids[row, : len(tokens)] = tokens
                even = bool((lengths == lengths[0]).all())
                logits, state = self.steps.read(ids, None if even else lengths, state)
            rows = rows_of(state, len(waiting))
            for place, (k, count) in enumerate(zip(waiting, lengths.tolist(), strict=True)):
                one, unread = places[k], places[k].unread[count:]
                found = None if len(unread) else logits[place]
                places[k] = TextPlace(
                    one.ids, unread, one.held, rows[place], found, one.led, one.drawn
                )
        return places

    def _join(self, states: Sequence[Any]) -> Any:
        return self.steps.join(states)

    def _expected(self, place: TextPlace) -> NextToken | None:
        if place.logits is None:
            return None
        return NextToken(place.logits, place.ids, self.tokenizer)


class TextStream(Stream[TextPlace, Frame, NextToken | None, NextToken]):
    """A text that is read as it comes, and written on.

    `push` takes a text of any length, or tokens by number, and returns what is expected next: None
    where nothing has been read yet. The end of a text waits, while what follows may change its
    token, as that of half a word; `finish` reads it, and so does `write`.
    """

    _reader: TextReader
    #: Of a text that is being written: where it began, its tokens since, whether they are drawn.
    _writing: tuple[TextPlace, list[int], bool] | None = None

    @property
    def ids(self) -> np.ndarray:
        """All tokens so far, (T,) int32."""
        return self.place.ids.rows

    @property
    def place(self) -> TextPlace:
        """See `Stream.place`."""
        if self._writing is None:
            return self._place
        begun, written, drawing = self._writing
        longer = self._reader._longer(begun, np.array(written, np.int64), "")
        return replace(longer, drawn=begun.drawn + (len(written) if drawing else 0))

    def write(self, prompt: str = "", **options: Any) -> Iterator[Piece]:
        """Go on from what was read: the text as it is written, a piece a token.

        The stream moves on with each piece, and stands there when the writing is broken off.

        Args:
            prompt: a text to read before.
            **options: fields of `recurra.generate.Options`, by name.

        Raises:
            InputError: options out of range, a prompt with symbols the model does not know; while
                it writes, that the stream was moved.
        """
        return self.write_with(prompt, generation_options(options))

    def write_with(self, prompt: str, options: Options) -> Iterator[Piece]:
        """`write` with options that were read."""
        self._check_open("write")
        reader, before = self._reader, self.place
        plan = plan_of_stream(reader.steps, reader.tokenizer, options)
        begun = reader.whole(before, prompt)
        one = Prompt(
            0,
            before.held + prompt,
            begun.ids.rows,
            begun.unread,
            Carried(begun.row.alone(reader.steps.select), begun.ids.rows, begun.drawn),
        )
        writing: tuple[TextPlace, list[int], bool] = (begun, [], not plan.sampler.greedy)
        self._writing = writing
        return self._pieces(plan, one, writing)

    def _pieces(
        self, plan: Plan, prompt: Prompt, writing: tuple[TextPlace, list[int], bool]
    ) -> Iterator[Piece]:
        begun, written, _ = writing
        read = None
        if begun.logits is not None:
            read = begun.logits[None], begun.row.alone(self._reader.steps.select)
        for piece in write_on(plan, prompt, read):
            if self._writing is not writing:
                raise InputError("write: the stream was moved while it wrote: call write again")
            written.append(piece.id)
            if piece.generation is not None:
                at_end = self._reader.begin(piece.generation.state)
                self._move(replace(at_end, led=begun.led))
            yield piece

    def _move(self, place: TextPlace, *, ended: bool = False) -> None:
        super()._move(place, ended=ended)
        self._writing = None

    def fork(self) -> Self:
        """See `Stream.fork`."""
        made = super().fork()
        made._writing = None
        return made


def generation_options(options: Mapping[str, Any]) -> Options:
    """The options of a call; InputError for unknown ones."""
    known = Options.__dataclass_fields__
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(
            f"generate: unknown options: {', '.join(unknown)}; known: {', '.join(known)}"
        )
    return Options(**options)
