"""Word and character error rates: what it takes to turn what was heard into what was said."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.checked import checked
from recurra.errors import InputError
from recurra.given import NOTHING, LeftOut
from recurra.tasks.answers import Figures
from recurra.tasks.figures import plain, shown


@dataclass(frozen=True)
class ErrorRate:
    """Edits summed over pairs of texts.

    Of the alignments with the fewest edits in all, one with the most hits is counted.
    """

    substitutions: int
    deletions: int
    insertions: int
    hits: int

    @property
    def errors(self) -> int:
        """The number of edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def length(self) -> int:
        """Words or characters of the references."""
        return self.substitutions + self.deletions + self.hits

    @property
    def rate(self) -> float:
        """Errors per word or character of the references; above 1 where much was inserted.

        Without any reference infinite where something was inserted, else NaN: nothing was measured.
        """
        if self.length:
            return self.errors / self.length
        return math.inf if self.errors else math.nan

    def __add__(self, other: "ErrorRate") -> "ErrorRate":
        return ErrorRate(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.hits + other.hits,
        )


@checked
def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRate:
    """Edits of words, which stand between white space; upper and lower case differ.

    Raises:
        InputError: not as many hypotheses as references.
    """
    return _sum([text.split() for text in references], [text.split() for text in hypotheses])


@checked
def character_errors(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRate:
    """Edits of characters, spaces among them; white space around a text does not count.

    Raises:
        InputError: not as many hypotheses as references.
    """
    return _sum([text.strip() for text in references], [text.strip() for text in hypotheses])


def edits(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> ErrorRate:
    """Edits from one sequence to another (Levenshtein 1966; Wagner & Fischer 1974)."""
    n, m = len(reference), len(hypothesis)
    # Fewest edits first, most hits second, in one number: an edit outweighs all hits.
    edit = min(n, m) + 1
    ids: dict[Hashable, int] = {}
    said = [ids.setdefault(symbol, len(ids)) for symbol in reference]
    heard = np.array([ids.setdefault(symbol, len(ids)) for symbol in hypothesis], np.int64)
    ramp = np.arange(m + 1, dtype=np.int64) * edit
    cost = ramp.copy()
    for symbol in said:
        step = np.where(heard == symbol, -1, edit)
        above = cost + edit
        above[1:] = np.minimum(above[1:], cost[:-1] + step)
        # Insertions: the least of what is to the left, plus an edit for each place between.
        cost = np.minimum.accumulate(above - ramp) + ramp
    errors = -(-int(cost[-1]) // edit)
    hits = errors * edit - int(cost[-1])
    # errors = S + D + I, n = H + S + D, m = H + S + I
    insertions = errors - (n - hits)
    deletions = errors - (m - hits)
    return ErrorRate(n - hits - deletions, deletions, insertions, hits)


def _sum(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> ErrorRate:
    if len(references) != len(hypotheses):
        raise InputError(
            f"error rate: expected a hypothesis for each of {len(references)} references, "
            f"received {len(hypotheses)}"
        )
    pairs = zip(references, hypotheses, strict=True)
    return sum((edits(r, h) for r, h in pairs), ErrorRate(0, 0, 0, 0))


@dataclass(frozen=True)
class TranscriberScores(Figures):
    """How right the transcripts of some recordings are."""

    words: ErrorRate
    characters: ErrorRate
    recordings: int
    seconds: float
    left_out: LeftOut = NOTHING

    @classmethod
    def of(
        cls,
        references: Sequence[str],
        hypotheses: Sequence[str],
        *,
        seconds: float,
        skipped: Sequence[str] = (),
    ) -> "TranscriberScores":
        """Compare what was said and what was heard in recordings of so many seconds in all; of each
        that could not be read `skipped` has a line."""
        words, count = word_errors(references, hypotheses), len(references)
        left_out = LeftOut.of(skipped, kept=count, unit="recordings")
        return cls(words, character_errors(references, hypotheses), count, seconds, left_out)

    @property
    def word_error_rate(self) -> float:
        """Word errors per word said."""
        return self.words.rate

    @property
    def character_error_rate(self) -> float:
        """Character errors per character said."""
        return self.characters.rate

    def __str__(self) -> str:
        w, c = self.words, self.characters
        return (
            f"word error rate {shown(w.rate, '.2%')} ({w.substitutions} substitutions, "
            f"{w.deletions} deletions, {w.insertions} insertions in {w.length} words), "
            f"character error rate {shown(c.rate, '.2%')}, of {self.recordings} recordings "
            f"({self.seconds:.0f} s)"
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "word_error_rate": plain(self.word_error_rate),
            "character_error_rate": plain(self.character_error_rate),
            "substitutions": self.words.substitutions,
            "deletions": self.words.deletions,
            "insertions": self.words.insertions,
            "words": self.words.length,
            "recordings": self.recordings,
            "seconds": self.seconds,
            "left_out": self.left_out.to_dict(),
        }
