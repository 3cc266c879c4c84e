"""Gradient by lag: how much of an error at a step gets back to the states k steps before it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief
from recurra.inspect.differentiable import Differentiable, Head, need_torch
from recurra.inspect.network import Network
from recurra.inspect.reading import Reading, read
from recurra.inspect.results import Result, axes
from recurra.runtime.states import join


@dataclass(frozen=True, eq=False)
class GradientByLag(Result):
    """g(k), the mean over anchors s of the norm of ∂L_s/∂(state at s - k), L_s of step s only.

    lags: 0 … K, (K + 1,).
    norms: by state's name, as "1.c" of the second layer, to g (K + 1,).
    ratios: the same over g(0). Where the loss of a step does not reach a state at lag 0, NaN.
    anchors: how many steps s were taken.
    loss: what L_s is.
    """

    lags: np.ndarray
    norms: dict[str, np.ndarray]
    ratios: dict[str, np.ndarray]
    anchors: int
    loss: str

    def half_life(self, name: str | None = None) -> float:
        """The first lag from which less than half of the gradient at lag 0 is left; NaN: none."""
        ratio = self.ratios[next(iter(self.ratios)) if name is None else name]
        below = np.flatnonzero(ratio < 0.5)
        return float(self.lags[below[0]]) if len(below) else float("nan")

    def figure(self) -> Any:
        """r(k) by lag, on a logarithmic scale."""
        figure, area = axes("How far an error gets back", "lag k, steps", "r(k) = g(k) / g(0)")
        for name, ratio in self.ratios.items():
            area.plot(self.lags, np.maximum(ratio, 1e-12), label=name)
        area.set_yscale("log")
        area.legend(frameon=False)
        return figure


def gradient_by_lag(
    model: Any,
    data: Any,
    *,
    lags: int = 128,
    anchors: int = 32,
    seed: int = 0,
    part: str | None = None,
    double: bool = False,
) -> GradientByLag:
    """How much of the error of one step gets back to the states before it. Needs torch.

    Of a language model L_s is -ln P of the next token after step s; of all else the last layer's
    output at s times random signs, whose square in the mean is that of the whole Jacobian.
    Gradients are total: they count all ways from a state to L_s, through layers above, too. A layer
    that reads in one direction runs from the states saved at s - K, with the anchors side by side.

    Args:
        model, data, part, double: as of `gates`.
        lags: K, the largest; fewer where the data are shorter.
        anchors: how many steps s, at most; evenly spaced.
        seed: of the random signs.

    Raises:
        InputError: as `gates`; numbers below 1, data of one step, or torch is not installed.
    """
    for name, value in (("lags", lags), ("anchors", anchors)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(
                f"gradient_by_lag: {name}: expected a number from 1 on, received {brief(value)}"
            )
    need_torch("gradient_by_lag")
    reading = read(model, data, "gradient_by_lag", part=part, double=double)
    return by_lag_of(reading, lags=lags, anchors=anchors, seed=seed)


def by_lag_of(reading: Reading, *, lags: int, anchors: int, seed: int) -> GradientByLag:
    """`gradient_by_lag` of what is read."""
    need_torch("gradient_by_lag")
    vectors, loss = by_lag(reading, lags=lags, anchors=anchors, seed=seed)
    norms, ratios = {}, {}
    for name, found in vectors.items():
        size = np.sqrt((found.astype(np.float64) ** 2).sum(-1))
        counted = np.isfinite(size)
        with np.errstate(invalid="ignore", divide="ignore"):
            norms[name] = np.where(counted, size, 0).sum(1) / counted.sum(1)
            ratios[name] = norms[name] / norms[name][0]
    some = next(iter(vectors.values()))
    return GradientByLag(np.arange(len(some)), norms, ratios, some.shape[1], loss)


def by_lag(
    reading: Reading, *, lags: int, anchors: int, seed: int
) -> tuple[dict[str, np.ndarray], str]:
    """By state's name ∂L_s/∂(state at s - k), (K + 1, anchors, ·), and what L_s is.

    NaN where s - k lies before the beginning, as it may in sequences of several lengths.
    """
    import torch

    network = reading.network
    one_long = len(reading.lengths) == 1 and network.directions == 1 and not network.reverse
    if one_long and not network.program.further:
        x, states, at, targets = _windows(reading, lags, anchors)
        lengths = np.full(x.shape[1], len(x))
    else:
        x, lengths, at, targets = _whole(reading, anchors)
        states = None
    run = Differentiable(network)
    sizes: dict[tuple[int, int, str], Any] = {}

    def watch(layer: int, back: int, values: dict[str, Any]) -> None:
        sizes.update({(layer, back, name): value for name, value in values.items()})

    outputs = run.run(run.tensor(x), lengths=lengths, states=states, watch=watch)
    last = outputs[torch.from_numpy(at), torch.arange(len(at))]
    if reading.language is not None and targets is not None:
        total = Head(reading.language.steps, network.dtype).losses(last, targets).sum()
        loss = "-ln P of the next token"
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=tuple(last.shape))
        total = (last * run.tensor(signs)).sum()
        loss = "the output times random signs"
    total.backward()
    before = [] if network.reverse else [int(at.max())]
    after = [int((lengths - 1 - at).max())] if network.reverse or network.directions > 1 else []
    reach = min(lags, *before, *after)
    found = {}
    for (layer, back, name), value in sorted(sizes.items()):
        gradient = value.numpy()
        backwards = network.reverse or back == 1
        own = np.full((reach + 1, len(at), gradient.shape[-1]), np.nan)
        for k in range(reach + 1):
            places = at + k if backwards else at - k
            inside = np.flatnonzero((places >= 0) & (places < lengths))
            own[k, inside] = gradient[places[inside], inside]
        found[f"{layer}.{name}{'_reverse' if back else ''}"] = own
    return found, loss


def _windows(reading: Reading, lags: int, anchors: int) -> tuple[np.ndarray, Any, Any, Any]:
    """Steps s - K … s of one long sequence, side by side, from the states saved before them.

    Returns inputs (K + 1, A, I), states, places of the anchors in them (A,), the tokens after (A,).
    """
    network, count = reading.network, int(reading.lengths[0])
    ahead = 1 if reading.language is not None else 0  # the token after the last is not known
    reach = min(lags, count - 1 - ahead)
    if reach < 1:
        raise InputError(
            f"gradient_by_lag: expected at least {2 + ahead} steps, received {count}: give more"
        )
    last = count - 1 - ahead
    places = np.unique(np.linspace(reach, last, min(anchors, last - reach + 1)).round().astype(int))
    states = _states_before(reading, places - reach)
    rows = places[None] - reach + np.arange(reach + 1)[:, None]
    if reading.tokens is not None:
        tokens = reading.tokens[:, 0]
        x, targets = network.inputs(tokens[rows]), tokens[places + 1]
    else:
        assert reading.x is not None
        x, targets = reading.x[:, 0][rows], None
    return x, states, np.full(len(places), reach), targets


def _states_before(reading: Reading, places: np.ndarray) -> Any:
    """The states (A, ·) before some steps, in ascending order, from one pass over the sequence."""
    network: Network = reading.network
    state, at, saved = network.start(1), 0, []
    for place in places.tolist():
        if place > at:
            part = slice(at, place)
            x = None if reading.x is None else reading.x[part]
            tokens = None if reading.tokens is None else reading.tokens[part]
            state, at = network.run(x, tokens, states=state, look=False).states, place
        saved.append(state)
    return join(saved)


def _whole(
    reading: Reading, anchors: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Whole sequences with an anchor each: the last step, or of two directions the middle one.

    Returns inputs (T, A, I), lengths (A,), places of the anchors (A,), the tokens after or None.
    """
    network = reading.network
    ahead = 1 if reading.language is not None else 0
    chosen = np.flatnonzero(reading.lengths >= 2 + ahead)[:anchors]
    if not len(chosen):
        raise InputError(
            f"gradient_by_lag: expected a sequence of at least {2 + ahead} steps, received "
            f"{max(reading.lengths.tolist(), default=0)}: give longer ones"
        )
    lengths = reading.lengths[chosen]
    at = lengths - 1 - ahead
    if network.directions > 1:
        at = lengths // 2
    elif network.reverse:
        at = np.zeros_like(lengths)
    if reading.tokens is None:
        assert reading.x is not None
        return reading.x[: lengths.max(), chosen], lengths, at, None
    tokens = reading.tokens[: lengths.max(), chosen]
    return network.inputs(tokens), lengths, at, tokens[at + 1, np.arange(len(at))]
