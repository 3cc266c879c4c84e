"""A second-order hidden Markov model of tags and words, as TnT (Brants 2000)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recurra.errors import FormatError, InputError

#: Endings are learnt from words that occur at most so often, and are at most so long.
RARE, ENDING = 10, 10


@dataclass(frozen=True, eq=False)
class TrigramHMM:
    """P(words, tags) = Π P(t_i | t_i-2, t_i-1) P(w_i | t_i), from counts.

    tags: K names. words: W of them. word_counts (W, K): how often each word has each tag.
    trigrams (K + 1, K + 1, K + 1): of three tags in a row; the last index of the first two axes is
    the beginning, of the third the end.

    Transitions are interpolated of trigrams, bigrams and single tags, by deleted interpolation.
    Words that were never seen are told by their endings and by whether they begin with a capital:
    P(t | ending) smoothed from the shorter endings, and turned round by Bayes' rule, up to the
    probability of the ending, which is the same for all tags.
    """

    tags: tuple[str, ...]
    words: tuple[str, ...]
    word_counts: np.ndarray
    trigrams: np.ndarray

    @classmethod
    def count(cls, sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> "TrigramHMM":
        """Count words and their tags.

        Raises:
            InputError: there are none.
        """
        pairs: Counter[tuple[str, str]] = Counter()
        rows: list[Sequence[str]] = []
        for words, given in sentences:
            pairs.update(zip(words, given, strict=True))
            rows.append(given)
        if not pairs:
            raise InputError("hidden Markov model: expected tagged sentences, received none")
        tags = tuple(sorted({tag for _, tag in pairs}))
        vocabulary = tuple(sorted({word for word, _ in pairs}))
        number = {tag: k for k, tag in enumerate(tags)}
        place = {word: k for k, word in enumerate(vocabulary)}
        counts = np.zeros((len(vocabulary), len(tags)), np.int64)
        for (word, tag), count in pairs.items():
            counts[place[word], number[tag]] = count
        edge = len(tags)
        trigrams = np.zeros((edge + 1,) * 3, np.int64)
        for given in rows:
            y = [edge, edge, *(number[tag] for tag in given), edge]
            np.add.at(trigrams, (y[:-2], y[1:-1], y[2:]), 1)
        return cls(tags, vocabulary, counts, trigrams)

    def best(self, words: Sequence[str]) -> list[str]:
        """The most probable tags of a sentence (Viterbi 1967)."""
        if not words:
            return []
        alpha, origins = self._begin(words[0]), []
        for word in words[1:]:
            scores = self._steps(alpha)
            origins.append(scores.argmax(0))
            alpha = self._pairs(scores.max(0), word)
        final = alpha + self._log_transitions[:, :-1, -1]
        u, v = (int(k) for k in np.unravel_index(final.argmax(), final.shape))
        path = [v]
        for origin in reversed(origins):
            path.append(u)
            u, v = int(origin[u, v]), u
        return [self.tags[k] for k in reversed(path)]

    def log_likelihood(self, words: Sequence[str]) -> float:
        """ln of the sum of P(words, tags) over all tags: the forward algorithm (Baum 1972)."""
        if not words:
            return 0.0
        alpha = self._begin(words[0])
        for word in words[1:]:
            alpha = self._pairs(np.logaddexp.reduce(self._steps(alpha), axis=0), word)
        return float(np.logaddexp.reduce((alpha + self._log_transitions[:, :-1, -1]).ravel()))

    def emission(self, word: str) -> np.ndarray:
        """ln P(word | tag) of each tag, (K,)."""
        known = self._places.get(word)
        if known is None:
            # At the beginning of a sentence, and in headlines, a capital says little.
            known = self._places.get(word.lower())
        if known is not None:
            return _log(self.word_counts[known] / self._tag_counts)
        endings = self._endings[word[:1].isupper()]
        return _log(endings.distribution(word) / (self._tag_counts / self._tag_counts.sum()))

    @cached_property
    def transitions(self) -> np.ndarray:
        """P(t_i | t_i-2, t_i-1), (K + 1, K + 1, K + 1), with beginning and end as in `trigrams`."""
        three = self.trigrams.astype(np.float64)
        two, one = three.sum(0), three.sum((0, 1))
        weights = self.interpolation
        return (
            weights[0] * one / one.sum()
            + weights[1] * _divide(two, two.sum(1, keepdims=True))
            + weights[2] * _divide(three, three.sum(2, keepdims=True))
        )

    @cached_property
    def interpolation(self) -> np.ndarray:
        """Weights of single tags, bigrams and trigrams: each trigram votes with its count for the
        order that would predict it best if it had been seen once less (Brants 2000, figure 1)."""
        three = self.trigrams.astype(np.float64)
        two, one = three.sum(0), three.sum((0, 1))
        votes = np.stack(
            np.broadcast_arrays(
                (one - 1) / max(one.sum() - 1, 1),
                _divide(two - 1, two.sum(1, keepdims=True) - 1),
                _divide(three - 1, three.sum(2, keepdims=True) - 1),
            )
        )
        # Of equal ones the shorter context, which has seen more.
        choice = np.where(three > 0, votes.argmax(0), -1)
        weights = np.array([three[choice == order].sum() for order in range(3)])
        return weights / weights.sum()

    def to_tensors(self) -> dict[str, np.ndarray]:
        """The counts, sparse, as arrays."""
        words, tags = np.nonzero(self.word_counts)
        return {
            "words": words.astype(np.int64),
            "tags": tags.astype(np.int64),
            "counts": self.word_counts[words, tags],
            "trigrams": self.trigrams,
        }

    def to_json(self) -> dict[str, Any]:
        """The names of tags and words."""
        return {"tags": list(self.tags), "words": list(self.words)}

    @classmethod
    def from_parts(cls, names: Any, tensors: Mapping[str, np.ndarray]) -> "TrigramHMM":
        """What `to_json` and `to_tensors` gave.

        Raises:
            FormatError: it is something else.
        """
        try:
            tags, words = (tuple(map(str, names[key])) for key in ("tags", "words"))
            counts = np.zeros((len(words), len(tags)), np.int64)
            counts[tensors["words"], tensors["tags"]] = tensors["counts"]
            trigrams = tensors["trigrams"]
            if trigrams.shape != (len(tags) + 1,) * 3 or (counts.sum(0) < 1).any():
                raise ValueError("counts that do not fit the tags")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FormatError(f"hidden Markov model: its counts cannot be read: {error}") from error
        return cls(tags, words, counts, trigrams)

    # -- what is computed once --------------------------------------------------------------------

    @cached_property
    def _log_transitions(self) -> np.ndarray:
        return _log(self.transitions)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: k for k, word in enumerate(self.words)}

    @cached_property
    def _tag_counts(self) -> np.ndarray:
        return self.word_counts.sum(0).astype(np.float64)

    @cached_property
    def _endings(self) -> "tuple[_Endings, _Endings]":
        """Of words in small letters, and of those that begin with a capital."""
        rare = [k for k, n in enumerate(self.word_counts.sum(1)) if n <= RARE]
        shares = self._tag_counts / self._tag_counts.sum()
        smoothing = float(np.std(shares, ddof=1)) if len(shares) > 1 else 0.0
        small, capital = (
            _Endings(
                [(self.words[k], self.word_counts[k]) for k in rare if _capital(self, k) is upper],
                self._tag_counts,
                smoothing,
            )
            for upper in (False, True)
        )
        return small, capital

    # -- pairs of tags: alpha (K + 1, K), of the last tag but one and the last ---------------------

    def _begin(self, word: str) -> np.ndarray:
        alpha = np.full((len(self.tags) + 1, len(self.tags)), -np.inf)
        alpha[-1] = self._log_transitions[-1, -1, :-1] + self.emission(word)
        return alpha

    def _steps(self, alpha: np.ndarray) -> np.ndarray:
        return alpha[:, :, None] + self._log_transitions[:, :-1, :-1]

    def _pairs(self, scores: np.ndarray, word: str) -> np.ndarray:
        alpha = np.full((len(scores) + 1, len(scores)), -np.inf)
        alpha[:-1] = scores + self.emission(word)
        return alpha


class _Endings:
    """P(tag | ending of a word), from words and how often each has each tag."""

    def __init__(
        self, words: Sequence[tuple[str, np.ndarray]], tag_counts: np.ndarray, smoothing: float
    ) -> None:
        self._places: dict[str, int] = {"": 0}
        rows, weights = [], []
        for word, counts in words:
            for size in range(min(len(word), ENDING) + 1):
                ending = word[len(word) - size :]
                rows.append(self._places.setdefault(ending, len(self._places)))
                weights.append(counts)
        self._counts = np.zeros((len(self._places), len(tag_counts)))
        if rows:
            np.add.at(self._counts, rows, np.array(weights))
        if not self._counts[0].any():  # there is no such word
            self._counts[0] = tag_counts
        self._smoothing = smoothing

    def distribution(self, word: str) -> np.ndarray:
        """P(tag | the longest ending that is known), smoothed by all that are shorter, (K,)."""
        found = self._counts[0] / self._counts[0].sum()
        for size in range(1, min(len(word), ENDING) + 1):
            place = self._places.get(word[len(word) - size :])
            if place is None:
                break
            counts = self._counts[place]
            found = (counts / counts.sum() + self._smoothing * found) / (1 + self._smoothing)
        return found


def _capital(model: TrigramHMM, k: int) -> bool:
    return model.words[k][:1].isupper()


def _divide(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The quotient, 0 where there is nothing to divide by."""
    one, other = np.broadcast_arrays(one, other)
    return np.divide(one, other, out=np.zeros(one.shape), where=other > 0)


def _log(probabilities: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(probabilities)
