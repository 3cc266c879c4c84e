"""What a transcriber returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recurra.tasks.answers import Answer
from recurra.tasks.transcriber.ctc import Labelling
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
