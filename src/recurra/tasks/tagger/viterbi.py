"""Chains of tags without torch: the best ones, their probabilities, their sum.

The tags y of T words score start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t-1, y_t] +
end[y_T]: the linear-chain CRF (Lafferty et al. 2001), and with log-probabilities as scores the
hidden Markov model (Rabiner 1989). A step that scores -inf is never taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Path:
    """Tags (T,) of a sentence, and their score."""

    score: float
    tags: tuple[int, ...]


_NOWHERE = np.zeros((0, 0), np.int32)


@dataclass(frozen=True, eq=False)
class Trellis:
    """The best ways to the last word of a sentence that goes on.

    alpha: (K,), the score of the best way to each of its tags; None before the first word. open:
    how many of the last words have a tag that is not certain. origins: (open - 1, K), of all of
    these but the first the tag before.
    """

    alpha: np.ndarray | None = None
    open: int = 0
    origins: np.ndarray = field(default_factory=lambda: _NOWHERE)


@dataclass(frozen=True, eq=False)
class Chain:
    """The scores between K tags.

    start (K,): of beginning with a tag. transitions (K, K): of a tag (row) followed by another
    (column). end (K,): of ending with a tag. Emissions (T, K), which the methods take, score each
    word with each tag. All is computed in float64.
    """

    start: np.ndarray
    transitions: np.ndarray
    end: np.ndarray

    @classmethod
    def free(cls, tags: int) -> "Chain":
        """A chain in which each word is tagged for itself."""
        return cls(np.zeros(tags), np.zeros((tags, tags)), np.zeros(tags))

    def score(self, emissions: np.ndarray, tags: Sequence[int]) -> float:
        """The score of tags (T,)."""
        y = np.asarray(tags, np.intp)
        if not len(y):
            return 0.0
        inside = np.asarray(emissions, np.float64)[np.arange(len(y)), y].sum()
        between = self.transitions[y[:-1], y[1:]].sum(dtype=np.float64)
        return float(self.start[y[0]] + inside + between + self.end[y[-1]])

    def best(self, emissions: np.ndarray) -> Path:
        """The tags that score highest (Viterbi 1967)."""
        if not len(emissions):
            return Path(0.0, ())
        emissions = np.asarray(emissions, np.float64)
        alpha, origins = self.start + emissions[0], []
        for row in emissions[1:]:
            scores = alpha[:, None] + self.transitions
            origin = scores.argmax(0)
            origins.append(origin)
            alpha = scores.max(0) + row
        y = self._last(alpha)
        return Path(float(alpha[y] + self.end[y]), tuple(_backwards(y, origins)))

    def follow(self, trellis: Trellis, emissions: np.ndarray) -> tuple[Trellis, list[int]]:
        """Read further words, (T, K): the trellis after them, and the tags of open words that are
        certain now, in whatever way the sentence goes on.

        All that `follow` and at last `rest` return, joined, is what `best` says of the whole.
        """
        alpha, open_words, origins = trellis.alpha, trellis.open, list(trellis.origins)
        for row in np.asarray(emissions, np.float64):
            if alpha is None:
                alpha = self.start + row
            else:
                scores = alpha[:, None] + self.transitions
                alpha = scores.max(0) + row
                if open_words:
                    origins.append(scores.argmax(0).astype(np.int32))
            open_words += 1
        if alpha is None or not open_words:
            return Trellis(alpha, open_words), []
        # What the last word's tag may still be: as the next word's best origins, or at the end.
        going = {*(alpha[:, None] + self.transitions).argmax(0).tolist(), self._last(alpha)}
        at = open_words - 1
        while len(going) > 1 and at > 0:
            at -= 1
            going = {int(origins[at][y]) for y in going}
        certain = [] if len(going) > 1 else _backwards(going.pop(), origins[:at])
        kept = origins[at + 1 :] if certain else origins
        rows = np.array(kept, np.int32).reshape(-1, len(alpha))
        return Trellis(alpha, open_words - len(certain), rows), certain

    def rest(self, trellis: Trellis) -> list[int]:
        """The tags of the words that are open where a sentence ends."""
        if trellis.alpha is None or not trellis.open:
            return []
        return _backwards(self._last(trellis.alpha), trellis.origins)

    def _last(self, alpha: np.ndarray) -> int:
        """The last tag of a sentence that ends."""
        return int((alpha + self.end).argmax())

    def n_best(self, emissions: np.ndarray, n: int) -> list[Path]:
        """The `n` sequences of tags that score highest, best first; fewer where there are fewer.

        Keeps the n best ways to each tag at each word, so it is exact: O(T K² n).
        """
        if not len(emissions):
            return [Path(0.0, ())]
        emissions = np.asarray(emissions, np.float64)
        tags = len(self.start)
        # alpha (K, ways): the best ways to each tag; where the n-th comes from, a tag and a way.
        alpha, origins = (self.start + emissions[0])[:, None], []
        for row in emissions[1:]:
            ways = alpha.shape[1]
            scores = (self.transitions.T[:, :, None] + alpha).reshape(tags, tags * ways)
            kept = _largest(scores, n)
            origins.append(np.divmod(kept, ways))
            alpha = np.take_along_axis(scores, kept, 1) + row[:, None]
        final = (alpha + self.end[:, None]).ravel()
        found = []
        for place in _largest(final[None], n)[0]:
            if final[place] == -np.inf:
                break
            y, way = divmod(int(place), alpha.shape[1])
            path = [y]
            for tag, way_before in reversed(origins):
                y, way = int(tag[y, way]), int(way_before[y, way])
                path.append(y)
            found.append(Path(float(final[place]), tuple(reversed(path))))
        return found

    def log_partition(self, emissions: np.ndarray) -> float:
        """ln of the sum of exp(score) over all sequences of tags."""
        if not len(emissions):
            return 0.0
        return float(np.logaddexp.reduce(self._forward(emissions)[-1] + self.end))

    def marginals(self, emissions: np.ndarray) -> np.ndarray:
        """The probability of each tag at each word, (T, K)."""
        if not len(emissions):
            return np.zeros((0, len(self.start)))
        alpha = self._forward(emissions)
        beta = np.empty_like(alpha)
        beta[-1] = self.end
        for t in range(len(beta) - 1, 0, -1):
            after = self.transitions + (emissions[t] + beta[t])
            beta[t - 1] = np.logaddexp.reduce(after, axis=1)
        both = alpha + beta
        found = np.exp(both - both.max(1, keepdims=True))
        return found / found.sum(1, keepdims=True)

    def _forward(self, emissions: np.ndarray) -> np.ndarray:
        alpha = np.empty(emissions.shape, np.float64)
        alpha[0] = self.start + emissions[0]
        for t in range(1, len(alpha)):
            before = alpha[t - 1][:, None] + self.transitions
            alpha[t] = np.logaddexp.reduce(before, axis=0) + emissions[t]
        return alpha


def _backwards(y: int, origins: Sequence[np.ndarray] | np.ndarray) -> list[int]:
    """The tags of a way that ends in `y`, in order."""
    tags = [y]
    for origin in origins[::-1]:
        y = int(origin[y])
        tags.append(y)
    return tags[::-1]


def _largest(scores: np.ndarray, n: int) -> np.ndarray:
    """Where in each row the `n` largest are, largest first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :n]
