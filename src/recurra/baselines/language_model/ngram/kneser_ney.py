"""Interpolated modified Kneser–Ney: from counts to probabilities (Chen & Goodman 1998).

P_n(w | h) = (c(hw) - D(c(hw))) / c(h·) + γ(h) P_{n-1}(w | h'), where h' is h without its first
token, c(h·) the sum of the counts of all that continues h, and γ(h) c(h·) the sum of what was
taken off them. Below the 1-grams stands the even distribution over the vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recurra.baselines.language_model.ngram.counts import Grams, count_grams
from recurra.baselines.language_model.ngram.discounts import discounts
from recurra.errors import FormatError

#: The last tokens read of each stream, (B, order - 1); -1 where there were none.
State = np.ndarray


@dataclass(frozen=True)
class _Level:
    """One order: share (G,) of each n-gram, its count less its discount over c(h·); and for each h,
    an n-gram of the order below, what is left to shorter contexts, (its G,): γ, 1 for an unseen h.
    """

    keys: np.ndarray
    share: np.ndarray
    left: np.ndarray


class KneserNey:
    """An n-gram model of token ids: a `StepModel` of `recurra.generate`, and a `Scorer`.

    Takes 24 bytes for each distinct n-gram.

    Args:
        grams: those of each order, from 1 on.
        taken: the discounts of each order, for counts of 1, 2, and 3 or more.
        fallback: the orders whose discounts could not be computed.
    """

    def __init__(
        self,
        grams: Sequence[Grams],
        taken: Sequence[tuple[float, float, float]],
        *,
        fallback: Sequence[int] = (),
    ) -> None:
        self.grams, self.discounts = list(grams), list(taken)
        self.fallback = list(fallback)
        self.order, self.vocab_size = len(grams), len(grams[0])
        contexts = [1, *map(len, grams)]
        self._levels = [
            _level(gram, self.vocab_size, contexts[n], np.array([0.0, *taken[n]]))
            for n, gram in enumerate(grams)
        ]
        first = self._levels[0]
        self._lowest = first.share.astype(np.float64) + first.left[0] / self.vocab_size

    @classmethod
    def count(
        cls, tokens: np.ndarray, *, order: int, vocabulary: int, end: int | None = None
    ) -> "KneserNey":
        """The model of a text; arguments as for `count_grams`."""
        grams = count_grams(tokens, order=order, vocabulary=vocabulary, end=end)
        found = [discounts(gram.counts) for gram in grams]
        fallback = [n for n, (_, fell) in enumerate(found, 1) if fell]
        return cls(grams, [taken for taken, _ in found], fallback=fallback)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> "KneserNey":
        """The model that `tensors` describes; FormatError where it describes none."""
        taken = tensors.get("discounts", np.zeros(0))
        names = {"discounts", "fallback", "counts.1"}
        for n in range(2, (len(taken) if taken.ndim else 0) + 1):
            names |= {f"keys.{n}", f"counts.{n}"}
        flat = all(
            a.ndim == 1 and a.dtype.kind in "iu" for n, a in tensors.items() if n[0] in "fkc"
        )
        if names != tensors.keys() or taken.ndim != 2 or taken.shape[1] != 3 or not flat:
            raise FormatError(
                "model.safetensors: expected discounts, and the keys and counts of each order of "
                f"n-grams, found {', '.join(sorted(tensors))}"
            )
        grams = [Grams(np.arange(len(tensors["counts.1"])), tensors["counts.1"].astype(np.int64))]
        for n in range(2, len(taken) + 1):
            keys, counts = tensors[f"keys.{n}"], tensors[f"counts.{n}"].astype(np.int64)
            limit = len(grams[-1]) * len(grams[0])
            if (
                keys.dtype != np.int64
                or keys.shape != counts.shape
                or not (np.diff(keys) > 0).all()
                or (len(keys) and not (keys[0] >= 0 and keys[-1] < limit))
                or (counts < 1).any()
            ):
                raise FormatError(
                    f"model.safetensors: the {n}-grams are damaged: restore the file from a copy"
                )
            grams.append(Grams(keys, counts))
        return cls(
            grams, [tuple(row) for row in taken.tolist()], fallback=tensors["fallback"].tolist()
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """All that makes the model, as arrays."""
        found = {f"counts.{n}": _narrow(gram.counts) for n, gram in enumerate(self.grams, 1)}
        found |= {f"keys.{n}": gram.keys for n, gram in enumerate(self.grams, 1) if n > 1}
        found["discounts"] = np.array(self.discounts, np.float64)
        found["fallback"] = np.array(self.fallback, np.int64)
        return found

    def start(self, batch: int) -> State:
        """Return the state of `batch` streams before their first token."""
        return np.full((batch, self.order - 1), -1, np.int64)

    def select(self, state: State, rows: np.ndarray) -> State:
        """Return the streams `rows` (N,) of `state`, in that order; a row may occur repeatedly."""
        return state[rows]

    def join(self, states: Sequence[State]) -> State:
        """Return the streams of several states, one after the other, as one state."""
        return np.concatenate(states)

    def step(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read one token a stream, ids (B,): ln P (B, V) of the next token, and the new state."""
        state = self._after(np.concatenate([state, np.asarray(ids)[:, None]], 1))
        return np.log(self.probabilities(state)).astype(np.float32), state

    def read(
        self, ids: np.ndarray, lengths: np.ndarray | None, state: State
    ) -> tuple[np.ndarray, State]:
        """Read ids (B, T), of each row the first `lengths` (B,) (None: all).

        Returns ln P (B, V) after the last token of each row, and the state there.
        """
        B, T = ids.shape
        ends = np.full(B, T) if lengths is None else np.asarray(lengths)
        history = np.concatenate([state, ids], 1)
        last = ends[:, None] + np.arange(self.order - 1)  # history begins order - 1 tokens before
        state = np.take_along_axis(history, last, 1)
        return np.log(self.probabilities(state)).astype(np.float32), state

    def probabilities(self, state: State) -> np.ndarray:
        """P (B, V), float64, of the token that follows each stream."""
        contexts = [level[:, -1] for level in self._numbers(state)]
        found = np.tile(self._lowest, (len(state), 1))
        for level, context in zip(self._levels[1:], contexts, strict=True):
            begin, end = (
                np.searchsorted(level.keys, (context + more) * self.vocab_size) for more in (0, 1)
            )
            for row in np.flatnonzero((context >= 0) & (begin < end)):
                seen = slice(begin[row], end[row])
                found[row] *= level.left[context[row]]
                words = level.keys[seen] - context[row] * self.vocab_size
                found[row, words] += level.share[seen]
        return found

    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: State
    ) -> tuple[np.ndarray, State]:
        """Read inputs (B, T): ln P of targets (B, T) at each place (float64), and the state."""
        history = np.concatenate([state, inputs], 1)
        T = inputs.shape[1]
        contexts = [level[:, history.shape[1] - T :] for level in self._numbers(history)]
        found = self._lowest[targets]
        for level, context in zip(self._levels[1:], contexts, strict=True):
            if not len(level.keys):  # the text was shorter than that
                break
            number = _find(level.keys, context, targets, self.vocab_size)
            found *= np.where(context >= 0, level.left[context], 1.0)
            found += np.where(number >= 0, level.share[number], 0.0)
        return np.log(found), self._after(history)

    def _numbers(self, history: np.ndarray) -> list[np.ndarray]:
        """Of history (B, N), for each order below the highest: the number of the n-gram that ends
        at each place, (B, N); -1 where it was never seen."""
        found = [history] if self.order > 1 else []
        for level in self._levels[1:-1]:
            before = np.pad(found[-1][:, :-1], ((0, 0), (1, 0)), constant_values=-1)
            found.append(_find(level.keys, before, history, self.vocab_size))
        return found

    def _after(self, history: np.ndarray) -> State:
        return history[:, history.shape[1] - (self.order - 1) :]


def _level(grams: Grams, vocabulary: int, contexts: int, taken: np.ndarray) -> _Level:
    context = grams.keys // vocabulary
    totals = np.bincount(context, grams.counts, minlength=contexts)
    less = taken[np.minimum(grams.counts, 3)]
    lost = np.bincount(context, less, minlength=contexts)
    left = np.divide(lost, totals, out=np.ones(contexts), where=totals > 0)
    return _Level(
        grams.keys,
        ((grams.counts - less) / np.maximum(totals, 1)[context]).astype(np.float32),
        left.astype(np.float32),
    )


def _find(keys: np.ndarray, context: np.ndarray, tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """The numbers of n-grams; -1 where there is none."""
    if not len(keys):
        return np.full(tokens.shape, -1)
    wanted = context * vocabulary + tokens
    number = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((context >= 0) & (tokens >= 0) & (keys[number] == wanted), number, -1)


def _narrow(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.int32) if counts.max(initial=0) < 2**31 else counts
