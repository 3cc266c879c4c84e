"""How well a model predicts a text: perplexity and its relatives."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from recurra.errors import InputError
from recurra.tasks.answers import Figures
from recurra.tasks.figures import mean, plain, shown

#: A text is read as this many streams side by side, each of at least `SHORTEST` tokens, and each
#: but the first after it has read the `OVERLAP` tokens before its own, unscored.
STREAMS, SHORTEST, OVERLAP = 32, 1024, 256
_SEGMENT = 64  # steps between results, which bounds memory


@dataclass(frozen=True, slots=True)
class LanguageModelScores(Figures):
    """What a model makes of a text; figures over no token are NaN.

    nats: -Σ ln P(token | tokens before it), over `tokens` tokens.
    characters, words: of the text these tokens stand for; words are what blanks separate.
    """

    nats: float
    tokens: int
    characters: int
    words: int

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-likelihood of a token, in nats."""
        return mean(self.nats, self.tokens)

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood of a token."""
        return _exp(self.nats_per_token)

    @property
    def word_perplexity(self) -> float | None:
        """exp of the negative log-likelihood per word; None for a text without words."""
        return _exp(self.nats / self.words) if self.words else None

    @property
    def bits_per_character(self) -> float:
        """Negative log-likelihood per character, in bits."""
        return mean(self.nats / math.log(2), self.characters)

    def to_dict(self) -> dict[str, Any]:
        """All figures, as JSON values."""
        names = ("nats_per_token", "perplexity", "bits_per_character", "word_perplexity")
        return {name: plain(getattr(self, name)) for name in names} | asdict(self)

    def __str__(self) -> str:
        parts = [
            f"perplexity {shown(self.perplexity, '.3f')} per token",
            f"{shown(self.bits_per_character, '.3f')} bits per character",
            f"{shown(self.nats_per_token, '.4f')} nats per token",
        ]
        if self.word_perplexity is not None and self.words < self.tokens:
            parts.insert(1, f"{self.word_perplexity:,.4g} per word")
        return ", ".join(parts) + f" ({self.tokens:,} tokens)"


class Scorer(Protocol):
    """What scoring asks of a model: `RuntimeLM`, or the module that is being trained."""

    def start(self, batch: int) -> Any:
        """The state of `batch` streams before their first token."""
        ...

    def join(self, states: Sequence[Any]) -> Any:
        """The streams of several states, one after the other, as one state."""
        ...

    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: Any
    ) -> tuple[np.ndarray, Any]:
        """Read inputs (B, T): ln P of targets (B, T) at each place, and the state."""
        ...


def stream_nats(model: Scorer, tokens: np.ndarray) -> tuple[float, int]:
    """Read one long text: summed negative log-likelihood in nats, and how many tokens that is.

    tokens: ids (N,), N ≥ 2; the first is context only, so N - 1 count. Long texts are read as
    several streams side by side; each has read enough of what comes before it that the sum is, in
    practice, that of one stream.
    """
    total = 0.0
    for _, found in _stream(model, tokens):
        total -= float(found.sum())
    return total, len(tokens) - 1


def stream_log_probabilities(model: Scorer, tokens: np.ndarray) -> np.ndarray:
    """ln P (N - 1,) of each token of a text but the first, read as in `stream_nats`."""
    every = np.empty(max(len(tokens) - 1, 0), np.float64)
    for places, found in _stream(model, tokens):
        every[places] = found
    return every


def _stream(model: Scorer, tokens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places in a text, and ln P of the token after each."""
    count = len(tokens) - 1
    if count < 1:
        raise InputError(f"expected a text of at least 2 tokens, received {len(tokens)}")
    streams = max(1, min(STREAMS, count // SHORTEST))
    length = -(-count // streams)
    begin = np.arange(streams) * length
    state = model.start(1)
    if streams > 1:
        state = model.join([state, _before(model, tokens, begin[1:], min(OVERLAP, length))])
    for first in range(0, length, _SEGMENT):
        places = begin[:, None] + np.arange(first, min(first + _SEGMENT, length))
        inside = np.minimum(places, count - 1)
        found, state = _read(model, tokens, inside, state)
        yield places[places < count], found[places < count]


def lines_nats(model: Scorer, batches: Iterable[Any]) -> tuple[float, int]:
    """Read independent lines, given as batches of inputs, targets (B, T) and mask."""
    total, count = 0.0, 0
    state = model.start(0)
    for batch in batches:
        if not batch.carry:
            state = model.start(len(batch.inputs))
        found, state = model.log_probabilities(batch.inputs, batch.targets, state)
        mask = np.ones(found.shape, bool) if batch.mask is None else batch.mask
        total -= float(found[mask].sum())
        count += int(mask.sum())
    return total, count


def _before(model: Scorer, tokens: np.ndarray, begin: np.ndarray, steps: int) -> Any:
    """The state of streams that begin at `begin` (B,) and have read the `steps` tokens before."""
    state = model.start(len(begin))
    for first in range(-steps, 0, _SEGMENT):
        places = begin[:, None] + np.arange(first, min(first + _SEGMENT, 0))
        _, state = _read(model, tokens, places, state)
    return state


def _read(model: Scorer, tokens: np.ndarray, places: np.ndarray, state: Any) -> Any:
    inputs, targets = tokens[places].astype(np.int64), tokens[places + 1].astype(np.int64)
    return model.log_probabilities(inputs, targets, state)


def _exp(value: float) -> float:
    return math.inf if value >= 700 else math.exp(value)
