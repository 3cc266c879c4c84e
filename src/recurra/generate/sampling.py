"""From the logits of one step to one token; all in float64 and log space."""

import math

import numpy as np

from recurra import native
from recurra.errors import InputError

from .options import Options
from .protocol import Tokenizer
from .result import Alternative, Top


def log_sum_exp(z: np.ndarray, scratch: np.ndarray | None = None) -> float:
    """log Σ exp z of logits z (V,) float64; InputError where that is not finite."""
    peak = z.max()
    if not -math.inf < peak < math.inf:  # also where it is NaN
        raise InputError(
            f"generate: expected finite logits from the model, received {peak}: its weights are "
            "damaged or its training diverged; use another model"
        )
    weights = np.subtract(z, peak, out=scratch)
    return float(peak) + math.log(np.exp(weights, out=weights).sum())


def largest(z: np.ndarray, k: int) -> np.ndarray:
    """The ids of the k largest of z (V,), ties to the lowest ids; in ascending order of ids."""
    if k >= len(z):
        return np.arange(len(z))
    threshold = np.partition(z, len(z) - k)[len(z) - k]
    ids = (z >= threshold).nonzero()[0]
    excess = len(ids) - k
    if excess:
        ties = (z[ids] == threshold).nonzero()[0]
        ids = np.delete(ids, ties[-excess:])
    return ids


def ranked(z: np.ndarray, k: int) -> np.ndarray:
    """The ids of the k largest of z (V,), the largest first, ties to the lowest ids."""
    ids = largest(z, k)
    return ids[(-z[ids]).argsort(kind="stable")]


def nucleus(weights: np.ndarray, p: float) -> np.ndarray:
    """The smallest set of largest weights (V,) with mass ≥ p of the whole; the largest first."""
    total = weights.sum()
    # All weights below this cannot hold the mass 1 - p together: few are left to be sorted.
    ids = (weights >= (1 - p) * total / len(weights)).nonzero()[0]
    ids = ids[(-weights[ids]).argsort(kind="stable")]
    count = weights[ids].cumsum().searchsorted(p * total) + 1
    return ids[:count]


def most_probable(tokenizer: Tokenizer, z: np.ndarray, log_total: float, n: int) -> Top:
    """The n most probable tokens of logits z (V,), those of probability zero left out."""
    if n == 0:
        return ()
    return tuple(
        Alternative(tokenizer.token(id), id, float(z[id]) - log_total)
        for id in ranked(z, n).tolist()
        if z[id] > -math.inf
    )


def nothing_left() -> InputError:
    """The error of a step at which the banned tokens had all probability."""
    return InputError(
        "generate: expected a model that gives some probability to a token other than <unk>, "
        "received one that gives it none; train it on text with fewer unknown symbols"
    )


class Edits:
    """The edits to a step's logits that come before a choice: bias, penalties, banned ids."""

    def __init__(self, options: Options, banned: tuple[int, ...]) -> None:
        self.penalty = float(options.repetition_penalty)
        self.banned = list(banned)
        self._frequency = float(options.frequency_penalty)
        self._presence = float(options.presence_penalty)
        bias = sorted((options.logit_bias or {}).items())
        self._biased = np.array([id for id, _ in bias], dtype=np.int64)
        self._bias = np.array([added for _, added in bias], dtype=np.float64)

    @property
    def any(self) -> bool:
        """Whether more than banning is to be done."""
        return self.penalty != 1 or self.counting or len(self._biased) > 0

    @property
    def counting(self) -> bool:
        """Whether a penalty asks how often tokens were generated."""
        return self._frequency != 0 or self._presence != 0

    def seen(self, ids: np.ndarray, vocab_size: int) -> np.ndarray | None:
        """Which tokens are among ids (T,), as (V,) bool; None where no penalty asks for it."""
        if self.penalty == 1:
            return None
        seen = np.zeros(vocab_size, dtype=bool)
        seen[ids] = True
        return seen

    def apply(
        self, z: np.ndarray, seen: np.ndarray | None, counts: np.ndarray | None = None
    ) -> None:
        """Change logits z (V,) in place; seen (V,) as `seen` gave it, counts (V,) of a `Writer`."""
        if len(self._biased):
            z[self._biased] += self._bias
        if seen is not None:
            self.penalise(z, seen)
        if counts is not None:
            z -= self._frequency * counts + self._presence * (counts > 0)
        if self.banned:
            self.ban(z)
            if z.max() == -math.inf:
                raise nothing_left()

    def penalise(self, z: np.ndarray, seen: np.ndarray) -> None:
        """Make the tokens seen less probable, in place."""
        ids = seen.nonzero()[0]
        old = z[ids]
        z[ids] = np.where(old > 0, old / self.penalty, old * self.penalty)

    def ban(self, z: np.ndarray) -> None:
        """Take all probability from the banned tokens, in place."""
        z[self.banned] = -math.inf


class Sampler:
    """Chooses one token from the logits of a step."""

    def __init__(self, options: Options, edits: Edits, vocab_size: int) -> None:
        self.greedy = options.deterministic
        self._edits = edits
        self._temperature = float(options.temperature)
        self._top_k = options.top_k
        self._top_p = options.top_p if options.top_p != 1 else None
        self._min_p = float(options.min_p)
        # New arrays at each step would be three times as slow where V is large.
        self._z = np.empty(vocab_size)
        self._weights = np.empty(vocab_size)
        #: The same choice by the kernels, where they have it; None: only this class makes it.
        self.choosing: native.Choosing | None = None
        if native.usable() and self._top_p is None and not self._min_p and not edits.any:
            self.choosing = native.Choosing(
                vocab_size,
                temperature=0.0 if self.greedy else self._temperature,
                top_k=self._top_k,
                banned=edits.banned,
            )

    def choose(
        self,
        logits: np.ndarray,
        seen: np.ndarray | None,
        uniform: float,
        counts: np.ndarray | None = None,
    ) -> tuple[int, float]:
        """The token at `uniform`, in [0, 1), of logits (V,) float32, and its log probability."""
        if self.choosing is not None:
            id, found = self.choosing.choose(logits, uniform)
            if id >= 0:
                return id, found
        z = self._z
        z[:] = logits
        log_total = log_sum_exp(z, self._weights)
        self._edits.apply(z, seen, counts)
        id = int(z.argmax()) if self.greedy else self._draw(z, uniform)
        return id, float(logits[id]) - log_total

    def _draw(self, z: np.ndarray, uniform: float) -> int:
        ids = None
        if self._top_k is not None:
            ids = largest(z, self._top_k)
            z = z[ids]
        weights = np.subtract(z, z.max(), out=self._weights[: len(z)])
        if self._temperature != 1:
            weights /= self._temperature
        np.exp(weights, out=weights)
        if self._top_p is not None:
            kept = nucleus(weights, self._top_p)
            weights = weights[kept]
            ids = kept if ids is None else ids[kept]
        if self._min_p:  # the greatest weight is 1
            likely = (weights >= self._min_p).nonzero()[0]
            weights = weights[likely]
            ids = likely if ids is None else ids[likely]
        mass = weights.cumsum(out=self._z[: len(weights)])
        # uniform ≤ 1 - 2**-53, so the product is below mass[-1] after rounding too, and the first
        # mass above it belongs to a token whose weight is not zero.
        at = int(mass.searchsorted(uniform * mass[-1], side="right"))
        return at if ids is None else int(ids[at])
