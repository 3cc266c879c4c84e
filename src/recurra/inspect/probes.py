"""What can be read out of states by a linear map: earlier tokens, and labels of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief, listed
from recurra.inspect.gates import named
from recurra.inspect.reading import Reading, chosen_layers, read
from recurra.inspect.results import Result, axes

#: The ridge, as a share of the mean squared state.
_RIDGE = 1e-6
#: Folds, each a stretch of the text, and the steps before and after one that train none.
_FOLDS, _GAP = 5, 16


@dataclass(frozen=True, eq=False)
class MemorySignature(Result):
    """How well the token k steps before can be read out of a layer's states.

    lags: 0 … K, (K + 1,). accuracy: by layer, (L, K + 1), on steps that no map was fitted to.
    chance: the share of the most frequent token.
    """

    lags: np.ndarray
    accuracy: np.ndarray
    chance: float

    def figure(self) -> Any:
        """Accuracy by lag, a line a layer."""
        figure, area = axes("Earlier tokens in the state", "lag k, tokens", "accuracy")
        for layer, row in enumerate(self.accuracy):
            area.plot(self.lags, row, label=f"layer {layer}")
        area.axhline(self.chance, color="0.6", lw=0.8)
        area.legend(frameon=False)
        return figure


def memory_signature(
    model: Any, data: Any, *, lags: int = 16, double: bool = False
) -> MemorySignature:
    """Which earlier tokens a linear map reads out of all states of a layer (ridge regression).

    All lags share one factorisation. The first half of the text fits, the second is decoded.

    Args:
        model: a recurrent language model. data: a text or tokens (N,).
        lags: K, the largest.
        double: whether to compute in float64.

    Raises:
        InputError: no such model, a text of fewer than 2 (K + 4) tokens.
    """
    reading, tokens = _text(model, data, "memory_signature", double=double)
    if not isinstance(lags, int) or lags < 0 or len(tokens) < 2 * (lags + 4):
        raise InputError(
            f"memory_signature: lags: expected a number from 0 to {max(0, len(tokens) // 2 - 4)} "
            f"for {len(tokens)} tokens, received {brief(lags)}"
        )
    half = len(tokens) // 2
    fit, test = np.arange(lags, half), np.arange(half + lags, len(tokens))
    symbols, codes = np.unique(tokens, return_inverse=True)
    rows = []
    for layer in range(reading.network.layers):
        x = _states(reading, layer)
        wanted = np.concatenate([np.eye(len(symbols))[codes[fit - k]] for k in range(lags + 1)], 1)
        scores = x[test] @ _ridge(x[fit], wanted)
        said = scores.reshape(len(test), lags + 1, len(symbols)).argmax(-1)
        truth = np.stack([codes[test - k] for k in range(lags + 1)], 1)
        rows.append((said == truth).mean(0))
    chance = float(np.bincount(codes).max() / len(codes))
    return MemorySignature(np.arange(lags + 1), np.array(rows), chance)


@dataclass(frozen=True, eq=False)
class Probe(Result):
    """How well labels can be read out of a layer's states by a linear map.

    accuracy: on folds that no map was fitted to. control: the same with a label drawn for each
        kind of token, which says how much the map itself learns (Hewitt & Liang 2019).
    selectivity: accuracy minus control. units: of each fold's map the units with the largest
        weights, most first, (H,).
    """

    accuracy: float
    control: float
    selectivity: float
    units: np.ndarray
    labels: tuple[str, ...]

    def figure(self) -> Any:
        """Two bars."""
        figure, area = axes("A linear probe", "", "accuracy")
        area.bar(["labels", "control"], [self.accuracy, self.control])
        return figure


def probe(
    model: Any,
    data: Any,
    labels: Any,
    *,
    layer: int = -1,
    seed: int = 0,
    double: bool = False,
) -> Probe:
    """How well labels of one's own, one a token, can be read out of states.

    Folds are stretches of the text with gaps between, since neighbours are alike.

    Args:
        model: a recurrent language model. data: a text or tokens (N,).
        labels: one for each token, texts or numbers, (N,).
        layer: whose states. seed: of the control's labels.
        double: whether to compute in float64.

    Raises:
        InputError: no such model, another number of labels, fewer than two kinds or 100 tokens.
    """
    reading, tokens = _text(model, data, "probe", double=double)
    given = [str(one) for one in listed(labels, "labels", "a list of labels, one a token")]
    kinds, codes = np.unique(given, return_inverse=True)
    if len(given) != len(tokens) or len(kinds) < 2 or len(tokens) < 100:
        raise InputError(
            f"probe: expected a label of two kinds or more for each of at least 100 tokens, "
            f"received {len(given)} of {len(kinds)} for {len(tokens)} tokens"
        )
    x = _states(reading, chosen_layers(reading.network, layer, "probe")[0])
    rng = np.random.default_rng(seed)
    symbols, where = np.unique(tokens, return_inverse=True)
    odds = np.bincount(codes) / len(codes)
    control = rng.choice(len(kinds), size=len(symbols), p=odds)[where]
    hits, weight = np.zeros((2, 2)), np.zeros(x.shape[1] - 1)
    for fit, test in _folds(len(tokens)):
        both = np.concatenate([np.eye(len(kinds))[codes[fit]], np.eye(len(kinds))[control[fit]]], 1)
        solved = _ridge(x[fit], both)
        scores = (x[test] @ solved).reshape(len(test), 2, len(kinds)).argmax(-1)
        truth = np.stack([codes[test], control[test]], 1)
        hits += np.stack([(scores == truth).sum(0), np.full(2, len(test))])
        weight += (np.abs(solved[:-1, : len(kinds)]) * x[fit, :-1].std(0)[:, None]).sum(1)
    share = hits[0] / hits[1]
    order = np.argsort(-weight, kind="stable")
    return Probe(float(share[0]), float(share[1]), float(share[0] - share[1]), order, tuple(kinds))


def _text(model: Any, data: Any, what: str, *, double: bool) -> tuple[Reading, np.ndarray]:
    reading = read(model, data, what, double=double)
    if reading.language is None or reading.tokens is None:
        raise InputError(f"{what}: expected a language model")
    return reading, reading.flat(reading.tokens)


def _states(reading: Reading, layer: int) -> np.ndarray:
    """All states of a layer side by side, and a column of ones, (N, ·) float64."""
    values = named(reading, reading.run().visible[layer], reading.network.states)
    parts = [np.asarray(v, np.float64) for v in values.values()]
    return np.concatenate([*parts, np.ones((len(parts[0]), 1))], 1)


def _ridge(x: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The map (·, K) of least squares with a ridge, by one Cholesky factorisation."""
    product = x.T @ x
    product[np.diag_indices_from(product)] += _RIDGE * max(np.trace(product) / len(product), 1e-12)
    lower = np.linalg.cholesky(product)
    found: np.ndarray = np.linalg.solve(lower.T, np.linalg.solve(lower, x.T @ wanted))
    return found


def _folds(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Steps that fit, and steps that test: stretches, with a gap at both ends of each."""
    every, ends = np.arange(count), np.linspace(0, count, _FOLDS + 1).astype(int)
    for begin, end in pairwise(ends.tolist()):
        yield every[(every < begin - _GAP) | (every >= end + _GAP)], every[begin:end]
