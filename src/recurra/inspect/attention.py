"""Attention of a translator: where it looks, beside what leaving a token out does."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.inspect.results import Result, axes
from recurra.tasks.translator import Translator
from recurra.tasks.translator.data import Encoded, Pairs


@dataclass(frozen=True, eq=False)
class Attention(Result):
    """Where a translator looks while it writes.

    weights: (T, S), of each target token, the end included, over the source's tokens; rows sum to
        one. entropy: of each row, nats, (T,).
    occlusion: (T, S), by how much ln P of a target token falls when a source token is left out.
    correlation: the mean over target tokens of the rank correlation of both: where it is low,
        weights explain little (Jain & Wallace 2019). NaN of sources of one token.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: np.ndarray
    entropy: np.ndarray
    occlusion: np.ndarray
    correlation: float

    def figure(self) -> Any:
        """The weights as a picture."""
        figure, area = axes("Where it looks", "source", "target", wide=5, high=5)
        area.imshow(self.weights, aspect="auto", cmap="Blues", vmin=0, vmax=1)
        area.set_xticks(range(len(self.source)), self.source)
        area.set_yticks(range(len(self.target)), self.target)
        return figure


def attention(model: Any, source: str, target: str | None = None) -> Attention:
    """Where a translator looks while it writes a target, by default its own translation.

    Args:
        model: a translator. source: a text. target: what it writes.

    Raises:
        InputError: another model, or a text without a token.
    """
    if not isinstance(model, Translator):
        raise InputError(
            f"attention: expected a translator, received a {getattr(model, 'title', type(model))}"
        )
    if target is None:
        target = model.predict(source).text
    looked = model.attention(source, target)
    weights = np.asarray(looked.weights, np.float64)
    pairs = Pairs([source], [target], ["text"])
    batch = Encoded(pairs, model.vocabulary, copy=model.config.copy).batch(np.arange(1))
    steps, count = weights.shape[0], int(batch.lengths[0])

    def score(kept: np.ndarray) -> np.ndarray:
        copied = None if batch.copied is None else batch.copied[:, kept]
        state = model.runtime.start(batch.source[:, kept], np.array([len(kept)]), copied=copied)
        found: np.ndarray = model.runtime.read(batch.inputs, batch.targets, state)[0][0, :steps]
        return found

    every = np.arange(count)
    full, occlusion = score(every), np.full((steps, count), np.nan)
    for place in range(count) if count > 1 else ():
        with np.errstate(invalid="ignore"):
            occlusion[:, place] = full - score(np.delete(every, place))
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(weights > 0, weights * np.log(weights), 0).sum(1)
    pairs_ = [rank_correlation(a, b) for a, b in zip(weights, occlusion, strict=True)]
    known = [c for c in pairs_ if np.isfinite(c)]
    return Attention(
        looked.source,
        looked.target,
        weights,
        entropy,
        occlusion,
        float(np.mean(known)) if known else float("nan"),
    )


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's ρ, equal values sharing their ranks; NaN where it is not defined."""
    if len(one) < 2 or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("nan")
    a, b = _ranks(one), _ranks(other)
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    _, where, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    found: np.ndarray = (ends - (count - 1) / 2)[where]
    return found
