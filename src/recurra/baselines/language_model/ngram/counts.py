"""The n-grams of a text and how often each stands there, as sorted arrays.

An n-gram has a number: its place among all of its order. A 1-gram's is its token. A longer one is
found by its key: the number of what comes before its last token, times V, plus that token. So the
n-grams that continue the same words lie side by side, and one is found by binary search.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grams:
    """The G n-grams of one order: keys (G,) int64, ascending; counts (G,) int64.

    The counts of the highest order are plain. Below, an n-gram counts once for each token that was
    seen before it, and once for each time it began a text (Kneser & Ney 1995): what a shorter
    context predicts well is what follows many longer ones.
    """

    keys: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)


def count_grams(
    tokens: np.ndarray, *, order: int, vocabulary: int, end: int | None = None
) -> list[Grams]:
    """Count the n-grams of every order up to `order`.

    Takes about 120 bytes a token at order 5, what is returned included. The first token is context
    alone, as wherever a text is measured.

    Args:
        tokens: (N,) ids of the text, N ≥ 2.
        order: of the longest n-grams, from 1 on.
        vocabulary: V.
        end: the token that stands before, between and after texts; no n-gram reaches across it.
            None where the tokens are one text.

    Returns:
        A `Grams` for each order; the first has all V tokens, unseen ones counted 0.
    """
    before = _tokens_before(tokens, end)
    ends_at = tokens.astype(np.int64)  # the number of the n-gram that ends at each place
    grams = [Grams(np.arange(vocabulary), np.bincount(ends_at[1:], minlength=vocabulary))]
    for n in range(2, order + 1):
        places = np.flatnonzero(before >= n - 1)
        keys, number, counts, example = _distinct(ends_at[places - 1] * vocabulary + tokens[places])
        shorter = np.bincount(ends_at[places[example]], minlength=len(grams[-1]))
        if n > 2:  # a 1-gram that begins a text is not predicted
            shorter += np.bincount(ends_at[before == n - 2], minlength=len(grams[-1]))
        grams[-1] = Grams(grams[-1].keys, shorter)
        grams.append(Grams(keys, counts))
        ends_at[places] = number
    return grams


def _tokens_before(tokens: np.ndarray, end: int | None) -> np.ndarray:
    """How many tokens of its text stand before each place."""
    places = np.arange(len(tokens))
    if end is None:
        return places
    begins = np.where(tokens[:-1] == end, places[:-1], 0)
    return places - np.concatenate([[0], np.maximum.accumulate(begins)])


def _distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Distinct keys in order, the number of each of `keys` among them, counts, a place of each."""
    order = np.argsort(keys)
    ordered = keys[order]
    new = np.ones(len(keys), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    first = np.flatnonzero(new)
    number = np.empty(len(keys), np.int64)
    number[order] = np.cumsum(new) - 1
    return ordered[first], number, np.diff(first, append=len(keys)), order[first]
