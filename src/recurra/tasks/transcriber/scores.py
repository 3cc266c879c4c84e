"""Word and character error rates: what it takes to turn what was heard into what was said."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from recurra.checked import checked
from recurra.errors import InputError


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
