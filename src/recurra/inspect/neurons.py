"""Which single units follow something that a text shows: quotes, brackets, columns, capitals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief, plain
from recurra.inspect.gates import named
from recurra.inspect.network import Ran
from recurra.inspect.reading import Reading, read
from recurra.inspect.results import Result, axes
from recurra.inspect.traits import OF_LINES, TRAITS, traits_of

#: Shifts that make the null, at most, and the least steps of each half.
SHIFTS, _LEAST = 200, 50
#: In each half a trait differs so often from its most frequent value, and so many lines end.
_OTHERS, _LINES = 8, 2
#: A shift moves by at least this share of the half, lest neighbours stay where they are.
_FAR = 20


@dataclass(frozen=True, eq=False)
class NeuronFinder(Result):
    """The units that follow each trait best, K of each of F traits.

    traits: their names. measures: of each "auc" (a trait that a step has or lacks: the probability
        that the unit is higher where it has it) or "rho" (a number: Spearman's rank correlation).
    layer, unit: (F, K), those that do best on the first half of the steps, best first. state: of
        which state, as `h`, by trait.
    chosen: (F, K), AUC or rho on the half that chose. score: (F, K), on the other half.
    p: (F, K), of the score on the other half, adjusted for all units and all traits.
    level: (F,), what |2 AUC - 1| or |rho| of the best of all units reaches by chance in one case
        of twenty, of this trait alone.
    left: traits that were left out, and why. units: how many there are. shifts: of the null.
    """

    traits: tuple[str, ...]
    measures: tuple[str, ...]
    layer: np.ndarray
    state: tuple[tuple[str, ...], ...]
    unit: np.ndarray
    chosen: np.ndarray
    score: np.ndarray
    p: np.ndarray
    level: np.ndarray
    left: dict[str, str]
    units: int
    shifts: int

    @property
    def strength(self) -> np.ndarray:
        """|2 AUC - 1| or |rho| (F, K) on the half that did not choose: 0 chance, 1 all of it."""
        return np.abs(_signed(self.score, self.measures))

    def names(self, rank: int = 0) -> tuple[str, ...]:
        """Of each trait the unit of a rank as "layer.state.unit"."""
        rows = zip(self.layer[:, rank], self.state, self.unit[:, rank], strict=True)
        return tuple(f"{k}.{state[rank]}.{u}" for k, state, u in rows)

    def figure(self) -> Any:
        """A bar for the best unit of each trait, and the level of chance."""
        figure, area = axes("Units that follow a trait", "", "|2 AUC − 1| or |ρ|")
        places = np.arange(len(self.traits))
        area.bar(places, self.strength[:, 0])
        area.plot(places, self.level, "_", color="0.2", ms=26, label="5 % by chance")
        labels = zip(self.traits, self.names(), strict=True)
        area.set_xticks(places, [f"{trait}\n{unit}" for trait, unit in labels])
        area.set(ylim=(0, 1.02))
        area.legend(frameon=False)
        return figure


def neuron_finder(
    model: Any,
    data: Any,
    *,
    traits: Any = None,
    top: int = 5,
    seed: int = 0,
    part: str | None = None,
    double: bool = False,
) -> NeuronFinder:
    """Which single units follow quotes, brackets, columns, lines, indentation or capitals.

    Karpathy et al. (2016) looked for such units by eye. Here the first half of the steps chooses
    units by AUC or rank correlation, and the second gives the score. Of many units some follow
    anything by luck, so the null is the best of all units by rank correlation on the second half,
    when the traits are those of up to 200 earlier stretches of the same length: shifts without a
    seam, which keep both sides as smooth as they are (Harris 2020). p is adjusted over traits by
    the least p of each shift (Westfall & Young 1993), and shifts that resemble their neighbours
    count as fewer: of slow units in a short text none is certain. Where no unit follows anything
    and the text is of one kind throughout, at most about one text of twenty has a p of 0.05 or
    less. Needs no torch.

    Args:
        model, data, part, double: see `gates`.
        traits: of one's own, from names to values (N,), one for each step, texts one after another:
            truth values or two different numbers are told apart by AUC, others ranked. None: those
            of a text, which needs a language model.
        top: how many units of each trait.
        seed: of the shifts.

    Raises:
        InputError: as `gates`; fewer than 100 steps; no trait that varies in both halves; no model
            of text and no traits; a trait with another number of values, or missing ones.
    """
    if not isinstance(top, int) or isinstance(top, bool) or top < 1:
        raise InputError(f"neuron_finder: top: expected a number from 1 on, received {brief(top)}")
    reading = read(model, data, "neuron_finder", part=part, double=double)
    return neurons_of(reading, reading.run(), traits=traits, top=top, seed=seed)


def neurons_of(
    reading: Reading, ran: Ran, *, traits: Any = None, top: int = 5, seed: int = 0
) -> NeuronFinder:
    """`neuron_finder` of what was read already."""
    steps = len(reading.step)
    if steps < 2 * _LEAST:
        raise InputError(
            f"neuron_finder: expected at least {2 * _LEAST} steps, received {steps}: give more data"
        )
    given = _of_text(reading) if traits is None else _own(traits, steps)
    half = steps // 2
    halves = slice(0, half), slice(half, steps)
    left = {
        name: why
        for name, v in given.items()
        if (why := _unfit(name, v, halves, text=traits is None))
    }
    kept = {name: v for name, v in given.items() if name not in left}
    if not kept:
        why = "; ".join(f"{name}: {reason}" for name, reason in left.items())
        raise InputError(
            f"neuron_finder: no trait varies enough in both halves ({why}): give more data"
        )
    binary = [TRAITS[n] if traits is None else len(np.unique(v)) == 2 for n, v in kept.items()]
    possible = np.arange(max(1, half // _FAR), half + 1)
    count = min(SHIFTS, len(possible))
    moves = np.random.default_rng(seed).choice(possible, count, replace=False)
    moves.sort()
    # Windows of the text that end before its end: no shift has a seam, which would break what is
    # smooth and make the null too low.
    window = np.arange(half, steps) - np.concatenate([[0], moves])[:, None]  # (1 + S, n)
    pairs = list(zip(kept.values(), binary, strict=True))
    shifted = [_unit(ranks(v[window])).astype(np.float32) for v in kept.values()]
    places: list[tuple[int, str, int]] = []
    chose, other, own = [], [], []
    best = np.zeros((len(kept), count))
    for layer, sides in enumerate(ran.visible):
        for name, values in named(reading, sides, reading.network.states).items():
            one, two = (ranks(np.ascontiguousarray(values[part].T)) for part in halves)
            chose.append(np.stack([_score(one, v[halves[0]], b) for v, b in pairs]))
            other.append(np.stack([_score(two, v[halves[1]], b) for v, b in pairs]))
            two = _unit(two).astype(np.float32)
            found = [np.abs(rows @ two.T) for rows in shifted]
            own.append(np.stack([rho[0] for rho in found]))
            np.maximum(best, np.stack([rho[1:].max(1) for rho in found]), out=best)
            places += [(layer, name, unit) for unit in range(len(two))]
    rho = np.concatenate(own, 1)
    chosen, score = np.concatenate(chose, 1), np.concatenate(other, 1)  # (F, U), from -1 to 1
    order = np.argsort(-np.abs(chosen), axis=1, kind="stable")[:, :top]
    strongest = np.take_along_axis(score, order, 1)
    measures = tuple("auc" if b else "rho" for b in binary)
    layers, units = (np.array([[places[u][k] for u in row] for row in order]) for k in (0, 2))
    return NeuronFinder(
        tuple(kept),
        measures,
        layers,
        tuple(tuple(places[u][1] for u in row) for row in order),
        units,
        _shown(np.take_along_axis(chosen, order, 1), measures),
        _shown(strongest, measures),
        adjusted(np.take_along_axis(rho, order, 1), rho.max(1), best),
        np.array([_level(row, v[halves[1]], b) for row, (v, b) in zip(best, pairs, strict=True)]),
        left,
        len(places),
        count,
    )


def _of_text(reading: Reading) -> dict[str, np.ndarray]:
    """The traits of the texts that were read, each by itself, one after another."""
    if reading.language is None:
        raise InputError(
            "neuron_finder: expected a language model, whose data are a text: give traits={name: "
            "values}, one value a step"
        )
    ends = np.cumsum(reading.lengths)
    texts = [
        traits_of(reading.labels[end - count : end])
        for end, count in zip(ends.tolist(), reading.lengths.tolist(), strict=True)
    ]
    return {name: np.concatenate([text[name] for text in texts]) for name in TRAITS}


def _own(traits: Any, steps: int) -> dict[str, np.ndarray]:
    if not isinstance(traits, Mapping) or not traits:
        raise InputError(
            "neuron_finder: traits: expected a dictionary from names to values, one a step, "
            f"received {brief(traits)}"
        )
    found = {}
    for name, values in traits.items():
        try:
            one = np.asarray(plain(values), np.float64)
        except (TypeError, ValueError):
            one = np.zeros(())
        if one.shape != (steps,) or not np.isfinite(one).all():
            raise InputError(
                f"neuron_finder: traits: {name}: expected {steps} finite numbers or truth values, "
                f"one a step, received {brief(values)}"
            )
        found[str(name)] = one
    return found


def _unfit(name: str, values: np.ndarray, halves: tuple[slice, slice], *, text: bool) -> str:
    """Why a trait cannot be judged; empty where it can."""
    for half in halves:
        part = values[half]
        if len(part) - np.unique(part, return_counts=True)[1].max() < _OTHERS:
            return "hardly varies in a half of the data"
        # A column falls, and the distance grows, only where a line ends. One line is a ramp, which
        # whatever drifts would follow.
        ends = np.diff(part) < 0 if name == "column" else np.diff(part) > 0
        if text and name in OF_LINES[:2] and ends.sum() < _LINES:
            return "too few lines in a half of the data"
    return ""


def _score(own: np.ndarray, values: np.ndarray, binary: bool) -> np.ndarray:
    """Of centred ranks (U, n) and a trait (n,) the scores (U,): 2 AUC - 1, or rho."""
    if binary:
        hit = values == values.max()
        weights = np.where(hit, 1 / hit.sum(), -1 / (~hit).sum())
        return np.clip(own @ weights * (2 / len(values)), -1, 1)
    return np.clip(_unit(own) @ _unit(ranks(values[None]))[0], -1, 1)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows over their norm; those of zeros stay."""
    norm = np.sqrt((rows**2).sum(1, keepdims=True))
    found: np.ndarray = rows / np.where(norm > 0, norm, 1)
    return found


def _level(best: np.ndarray, values: np.ndarray, binary: bool) -> float:
    """The 95 % level of rank correlations, for AUC that of a unit without equal values."""
    level = float(np.quantile(best, 0.95, method="higher"))
    if not binary:
        return level
    n, ones = len(values), int((values == values.max()).sum())
    return min(1.0, level * float(np.sqrt((n * n - 1) / (3 * ones * (n - ones)))))


def ranks(values: np.ndarray) -> np.ndarray:
    """Centred ranks (U, n) along each row, float64; equal values share their mean rank."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, 1)
    count = values.shape[1]
    place = np.broadcast_to(np.arange(count), values.shape)
    fresh = np.ones(values.shape, bool)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)
    closes = np.ones(values.shape, bool)
    closes[:, :-1] = fresh[:, 1:]
    last = np.minimum.accumulate(np.where(closes, place, count)[:, ::-1], axis=1)[:, ::-1]
    found = np.empty(values.shape)
    np.put_along_axis(found, order, (first + last) / 2 - (count - 1) / 2, 1)
    return found


def adjusted(strength: np.ndarray, most: np.ndarray, null: np.ndarray) -> np.ndarray:
    """p (F, K) of strengths, over all units and traits (Westfall & Young 1993).

    Args:
        strength: (F, K). most: (F,), that of the best of all units as it was read.
        null: (F, S), that of the best of all units under each shift, in the order of the shifts.

    Shifts that resemble their neighbours say less: S of them count as S / tau, where tau is one and
    the sum of their autocorrelation up to its first zero, of the trait where that is longest.
    """
    slack = 1e-6  # float32: equal scores that were summed in another order are equal
    pool = np.concatenate([most[:, None], null], 1)
    size = pool.shape[1]
    reached = (pool[:, None] >= pool[:, 1:, None] - slack).sum(-1) / size  # (F, S)
    least = reached.min(0)
    single = (1 + (null[:, None] >= strength[..., None] - slack).sum(-1)) / size
    share = (least <= single[..., None] + slack).mean(-1)
    count = null.shape[1] / max(_persistence(row) for row in null)
    found: np.ndarray = (1 + share * count) / (1 + count)
    return found


def _persistence(values: np.ndarray) -> float:
    """One and the sum of the autocorrelation of values (S,) up to its first zero."""
    centred = values - values.mean()
    variance = float(centred @ centred)
    if variance == 0:
        return 1.0
    found = np.correlate(centred, centred, "full")[len(values) - 1 :] / variance
    below = np.flatnonzero(found <= 0)
    return float(found[: below[0] if len(below) else len(found)].sum())


def _signed(score: np.ndarray, measures: tuple[str, ...]) -> np.ndarray:
    auc = np.array([[m == "auc"] for m in measures])
    found: np.ndarray = np.where(auc, 2 * score - 1, score)
    return found


def _shown(signed: np.ndarray, measures: tuple[str, ...]) -> np.ndarray:
    auc = np.array([[m == "auc"] for m in measures])
    found: np.ndarray = np.where(auc, (signed + 1) / 2, signed)
    return found
