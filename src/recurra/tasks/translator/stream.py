"""A source that comes in pieces, and its translation as it is written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import shown
from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Identity, Reader, Stream
from recurra.tasks.translator.decoding import Decoder, Translation, Written
from recurra.tasks.translator.settings import TranslationOptions


@dataclass(frozen=True, eq=False)
class TranslationPlace:
    """Where a translation stands.

    source: what was read of it. options: how it is translated. written: the tokens so far, where
    it is written token by token.
    """

    source: str
    options: TranslationOptions
    written: Written | None = None


class TranslationStream(Stream[TranslationPlace, str, str, Translation]):
    """A source that is read as it comes; its translation begins where it ends.

    `push` takes a piece of the source and returns nothing yet: "". `finish` returns the whole
    `Translation`; `write` gives it a piece a token instead, where one beam is searched.
    """

    _reader: "TranslationReader"

    def write(self) -> Iterator[str]:
        """End the source, and write: the text, as each token adds to it.

        Broken off, the stream stands between two tokens: a further call goes on there, and so does
        a stream that begins in its `state`.

        Raises:
            InputError: several beams, of which the best is known only at the end; no source; while
                it writes, that the stream was moved.
        """
        self._check_open("write")
        beams = self.place.options.beams
        if beams != 1:
            raise InputError(
                f"write: beams: expected 1, received {beams}: which beam is best is known only at "
                "the end: use finish, or open_stream(beams=1)"
            )
        return self._pieces(self.place)

    def _pieces(self, place: TranslationPlace) -> Iterator[str]:
        while True:
            if place is not self.place:
                raise InputError("write: the stream was moved while it wrote: call write again")
            place, text, ended = self._reader.step(place)
            self._move(place, ended=ended)
            yield text
            if ended:
                return

    @property
    def translation(self) -> Translation:
        """What is written so far."""
        return self._reader.so_far(self.place)


class TranslationReader(Reader[TranslationPlace, str, str, Translation]):
    """Reads sources with a translator."""

    kind = "translator"

    def __init__(self, decoder: Decoder, identity: Identity) -> None:
        super().__init__(identity)
        self._decoder = decoder

    def begin(self, options: TranslationOptions) -> TranslationPlace:
        """The place before any text."""
        return TranslationPlace("", options)

    def advance(
        self, places: Sequence[TranslationPlace], frames: Sequence[str]
    ) -> list[tuple[TranslationPlace, str]]:
        """See `Reader.advance`."""
        for place, frame in zip(places, frames, strict=True):
            if not isinstance(frame, str):
                raise InputError(f"push: expected a text, received {shown(frame)}")
            if place.written is not None:
                raise InputError("push: the translation is being written already: open another")
        pairs = zip(places, frames, strict=True)
        return [(replace(place, source=place.source + frame), "") for place, frame in pairs]

    def end(self, place: TranslationPlace) -> tuple[TranslationPlace, Translation]:
        """See `Reader.end`."""
        if place.written is None:
            (found,) = self._decoder.translate([_whole(place.source)], place.options)
            return place, found
        ended = place.written.ended
        while not ended:
            place, _, ended = self.step(place)
        return place, self.so_far(place)

    def step(self, place: TranslationPlace) -> tuple[TranslationPlace, str, bool]:
        """Write a token: the place after it, the text it adds, and whether it is the last."""
        before = place.written
        if before is None:
            before = self._decoder.begin(_whole(place.source), place.options)
        after = self._decoder.write(place.source, before, place.options)
        text = self._decoder.text(place.source, after)
        added = text[len(self._decoder.text(place.source, before)) :]
        return replace(place, written=after), added, after.ended

    def so_far(self, place: TranslationPlace) -> Translation:
        """What is written."""
        return self._decoder.translation(place.source, place.written, place.options)

    def pack(self, place: TranslationPlace) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `Reader.pack`."""
        ids = () if place.written is None else self._decoder.tokens(place.written)
        arrays: dict[str, np.ndarray] = {
            "source": np.frombuffer(place.source.encode("utf-8", "surrogatepass"), np.uint8),
            "ids": np.array(ids, np.int64),
        }
        begun = place.written is not None
        return arrays, {"options": place.options.to_json(), "begun": begun}

    def unpack(self, saved: Saved) -> TranslationPlace:
        """See `Reader.unpack`."""
        try:
            raw = saved.array("source", (None,), np.uint8).tobytes()
            source = raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise saved.wrong("source", "a text in UTF-8") from None
        options = TranslationOptions.from_json(saved.value("options")).validate()
        place, ids = TranslationPlace(source, options), saved.array("ids", (None,), np.int64)
        if not saved.flag("begun"):
            return place
        return replace(place, written=self._decoder.again(_whole(source), ids.tolist(), options))


def _whole(source: str) -> str:
    if not source.strip():
        raise InputError("finish: expected a source, received nothing: push some text first")
    return source
