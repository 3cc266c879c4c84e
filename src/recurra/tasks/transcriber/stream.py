"""A transcript that grows as sound comes in."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Identity, Reader, Stream
from recurra.tasks.transcriber.ctc import BLANK, BestPath, PrefixBeam
from recurra.tasks.transcriber.sound_stream import SoundPlace, SoundReader
from recurra.text import Tokenizer

#: Tokens whose text is decoded with the next: a character has at most four bytes.
_CONTEXT = 8
_LEAST = np.finfo(np.float64).min


@dataclass(frozen=True, eq=False)
class TranscriptPlace:
    """Where a transcript stands.

    sound: where the recording does. search: how far the best path, or the beam, is; never changed.
    after: the last tokens of the best path. text: what is written of it.
    """

    sound: SoundPlace
    search: BestPath | PrefixBeam
    after: tuple[int, ...] = ()
    text: str = ""


class TranscriptStream(Stream[TranscriptPlace, np.ndarray, str, str]):
    """A transcript that grows as sound comes in; at the end it is that of the whole recording.

    `push` takes samples (N,) of any number, full scale 1. On the best path it returns text that
    stays, and `finish` what only the end makes certain. A beam search may still change its mind:
    there `push` returns nothing, `text` is what is heard so far, and `finish` returns all of it.
    """

    _reader: "TranscriptReader"

    @property
    def text(self) -> str:
        """What has been heard so far."""
        return self._reader.heard(self.place)


class TranscriptReader(Reader[TranscriptPlace, np.ndarray, str, str]):
    """Listens with a transcriber.

    Args:
        sound: reads its network.
        tokenizer: of its tokens.
        identity: of the model.
        beam: a search that has read nothing; None for the best path.
        language_model: what tells the language model of the beam from others.
        rate: samples a second; None for the model's.
    """

    kind = "transcriber"

    def __init__(
        self,
        sound: SoundReader,
        tokenizer: Tokenizer,
        identity: Identity,
        *,
        beam: PrefixBeam | None,
        language_model: Identity | None,
        rate: int | None,
    ) -> None:
        super().__init__(identity)
        self._sound, self._tokenizer = sound, tokenizer
        self._beam, self._language_model, self._rate = beam, language_model, rate

    def begin(self) -> TranscriptPlace:
        """The place before any sample."""
        search = BestPath() if self._beam is None else self._beam
        return TranscriptPlace(self._sound.begin(self._rate), search)

    def heard(self, place: TranscriptPlace) -> str:
        """The text so far."""
        if isinstance(place.search, PrefixBeam):
            return self._tokenizer.decode(place.search.best()[0].ids)
        return place.text

    def advance(
        self, places: Sequence[TranscriptPlace], frames: Sequence[np.ndarray]
    ) -> list[tuple[TranscriptPlace, str]]:
        """See `Reader.advance`."""
        read = self._sound.advance([place.sound for place in places], frames)
        pairs = zip(places, read, strict=True)
        return [self._heard(replace(place, sound=sound), log_p) for place, (sound, log_p) in pairs]

    def end(self, place: TranscriptPlace) -> tuple[TranscriptPlace, str]:
        """See `Reader.end`."""
        sound, log_p = self._sound.end(place.sound)
        place, said = self._heard(replace(place, sound=sound), log_p)
        if isinstance(place.search, PrefixBeam):
            return place, self.heard(place)
        last = self._tokenizer.decoder(after=place.after).finish()
        return replace(place, text=place.text + last), said + last

    def pack(self, place: TranscriptPlace) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `Reader.pack`."""
        arrays, values = self._sound.pack(place.sound)
        search = place.search
        if isinstance(search, BestPath):
            last, read = search.counts
            told = {"last": last, "read": read, "after": list(place.after), "text": place.text}
            return arrays, {**values, "beams": 1, **told}
        labellings, blank, token = search.held
        arrays |= {
            "beam.ids": np.array([id for ids in labellings for id in ids], np.int32),
            "beam.lengths": np.array([len(ids) for ids in labellings], np.int64),
            "beam.blank": np.maximum(blank, _LEAST),
            "beam.token": np.maximum(token, _LEAST),
        }
        beams, weight, bonus = search.numbers
        lm = None if self._language_model is None else self._language_model.text
        told = {"beams": beams, "weight": weight, "bonus": bonus, "language_model": lm}
        return arrays, {**values, **told}

    def unpack(self, saved: Saved) -> TranscriptPlace:
        """See `Reader.unpack`."""
        beams, weight, bonus = (1, None, None) if self._beam is None else self._beam.numbers
        for name, mine in (("beams", beams), ("weight", weight), ("bonus", bonus)):
            if mine is not None and saved.number(name) != mine:
                raise saved.wrong(name, f"{mine}, as this stream has")
        sound, tokens = self._sound.unpack(saved), len(self._tokenizer)
        if self._beam is None:
            search = BestPath()
            search.counts = saved.whole("last", BLANK, tokens), saved.whole("read", 0)
            after = saved.value("after")
            right = isinstance(after, list) and len(after) <= _CONTEXT
            if not right or not all(type(id) is int and 0 <= id < tokens for id in after):
                raise saved.wrong("after", f"up to {_CONTEXT} tokens below {tokens}")
            return TranscriptPlace(sound, search, tuple(after), saved.text("text"))
        lengths = saved.array("beam.lengths", (None,), np.int64)
        ids = saved.array("beam.ids", (None,), np.int32)
        right = 0 < len(lengths) <= beams and lengths.min() >= 0 and lengths.sum() == len(ids)
        if not right or (ids.size and not 0 <= ids.min() <= ids.max() < tokens):
            raise saved.wrong("beam.ids", f"up to {beams} labellings of tokens below {tokens}")
        both = []
        for name in ("beam.blank", "beam.token"):
            found = saved.array(name, (len(lengths),), np.float64)
            both.append(np.where(found == _LEAST, -np.inf, found))
        ends = np.cumsum(lengths)
        labellings = [
            tuple(ids[end - n : end].tolist()) for end, n in zip(ends, lengths, strict=True)
        ]
        return TranscriptPlace(sound, self._beam.holding(labellings, *both))

    def _heard(self, place: TranscriptPlace, log_p: np.ndarray) -> tuple[TranscriptPlace, str]:
        """The place after steps (T, V + 1) of the network, and the text that they add."""
        if not len(log_p):
            return place, ""
        search = copy(place.search)
        found = search.push(log_p)
        if found is None:
            return replace(place, search=search), ""
        decoder = self._tokenizer.decoder(after=place.after)
        said = "".join(map(decoder.push, found.ids))
        after = (*place.after, *found.ids)[-_CONTEXT:]
        return TranscriptPlace(place.sound, search, after, place.text + said), said
