"""What a transcriber returns: transcripts, whole or as they come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.tasks.answers import Answer
from recurra.tasks.transcriber.ctc import BestPath, Labelling, PrefixBeam
from recurra.tasks.transcriber.runtime import SoundStream
from recurra.text import Tokenizer


@dataclass(frozen=True)
class Transcript(Answer):
    """What was heard in a recording; `str` is the text.

    score: log probability of the best path, or what prefix beam search maximised. tokens: the
    tokens as the vocabulary writes them; times: seconds from the beginning to each (of the best
    path; empty in beam search). alternatives: further texts with their scores, best first.
    """

    text: str
    score: float
    tokens: tuple[str, ...] = ()
    times: tuple[float, ...] = ()
    alternatives: tuple[tuple[str, float], ...] = ()
    name: str = "recording"

    def __str__(self) -> str:
        return self.text

    def to_text(self) -> str:
        """A line of text: it, and its alternatives, parted by tabs, best first."""
        return "\t".join([self.text, *(text for text, _ in self.alternatives)])

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "name": self.name,
            "text": self.text,
            "score": self.score,
            "tokens": list(self.tokens),
            "times": list(self.times),
            "alternatives": [{"text": t, "score": score} for t, score in self.alternatives],
        }


def transcript(
    tokenizer: Tokenizer, found: Sequence[Labelling], *, seconds: float, name: str
) -> Transcript:
    """A transcript of labellings, best first, of steps of so many seconds."""
    best, *others = found
    return Transcript(
        tokenizer.decode(best.ids),
        best.score,
        tuple(tokenizer.token(id) for id in best.ids),
        tuple(round(frame * seconds, 6) for frame in best.frames),
        tuple((tokenizer.decode(one.ids), one.score) for one in others),
        name,
    )


class TranscriptStream:
    """A transcript that grows as sound comes in; at the end it is that of the whole recording.

    On the best path `push` returns text that stays. A beam search may still change its mind: there
    `push` returns nothing, `text` is what is heard so far, and `finish` returns all of it.
    """

    def __init__(self, sound: SoundStream, tokenizer: Tokenizer, beam: PrefixBeam | None) -> None:
        self._sound, self._tokenizer = sound, tokenizer
        self._path = BestPath()
        self._beam = beam
        self._decoder = tokenizer.decoder()
        self._written = ""

    @property
    def text(self) -> str:
        """What has been heard so far."""
        if self._beam is not None:
            return self._tokenizer.decode(self._beam.best()[0].ids)
        return self._written

    def push(self, samples: np.ndarray) -> str:
        """Read samples (N,) of any number, full scale 1; returns the text that they add."""
        return self._read(self._sound.push(samples))

    def finish(self) -> str:
        """Return the text that only the end makes certain. Nothing can be pushed after it."""
        said = self._read(self._sound.finish())
        if self._beam is not None:
            return self.text
        said_last = self._decoder.finish()
        self._written += said_last
        return said + said_last

    def _read(self, log_probabilities: np.ndarray) -> str:
        if self._beam is not None:
            self._beam.push(log_probabilities)
            return ""
        ids = self._path.push(log_probabilities).ids
        said = "".join(self._decoder.push(id) for id in ids)
        self._written += said
        return said
