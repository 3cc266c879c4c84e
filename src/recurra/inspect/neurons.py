"""The neuron finder: single units that follow what people see in a text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.inspect.gates import named
from recurra.inspect.probes import read_text
from recurra.inspect.reading import Reading
from recurra.inspect.results import Result, axes

#: Circular shifts of a feature, which say how well it would be followed by chance.
SHIFTS = 200
#: The share of texts without any relation in which a unit may be called significant.
LEVEL = 0.05
#: Tokens that a text needs: each half is shifted by `SHIFTS` different distances.
LEAST = 500

_OPENING, _CLOSING = "([{", ")]}"
_QUOTES = {'"': None, "\u201c": True, "\u201d": False}  # None: turns


@dataclass(frozen=True, eq=False)
class Neurons(Result):
    """By feature of the text the unit that follows it best.

    features: their names, (F,). measures: `AUC` of a feature that is there or not, `rho` (Spearman)
        of a number, (F,).
    layer, state, unit: which unit follows it best in the first half of the text, (F,).
    chosen: its score there, (F,). score: in the second half, (F,). An AUC of 0.5 and a ρ of 0 say
        nothing; below them the unit goes the other way.
    p: the share of circular shifts of the feature, itself counted, with a score as far from that in
        the second half, (F,). significant: p ≤ 0.05 / F.
    absent: features that one of the halves does not have.
    tokens: how many were read.
    """

    features: tuple[str, ...]
    measures: tuple[str, ...]
    layer: np.ndarray
    state: tuple[str, ...]
    unit: np.ndarray
    chosen: np.ndarray
    score: np.ndarray
    p: np.ndarray
    significant: np.ndarray
    absent: tuple[str, ...]
    tokens: int

    def figure(self) -> Any:
        """How far from chance each feature's unit is in the second half, 1 at most."""
        figure, area = axes("Units that follow the text", "", "|score|, of 1")
        names = [
            f"{feature}\n{layer}.{state}{unit}"
            for feature, layer, state, unit in zip(
                self.features, self.layer, self.state, self.unit, strict=True
            )
        ]
        shade = ["C0" if clear else "0.75" for clear in self.significant]
        area.bar(np.arange(len(names)), self.strength(), color=shade)
        area.set_xticks(np.arange(len(names)), names, fontsize=7)
        return figure

    def strength(self) -> np.ndarray:
        """How far a score is from chance, (F,): |2 AUC - 1| or |ρ|, from 0 to 1."""
        binary = np.array([measure == "AUC" for measure in self.measures], bool)
        return np.abs(np.where(binary, 2 * self.score - 1, self.score))


def neurons(model: Any, data: Any, *, seed: int = 0, double: bool = False) -> Neurons:
    """Find the units that follow quotes, brackets, column, newline, indentation, capitals.

    All units of all layers and states compete in the first half of the text, for each feature; the
    best is judged in the second half, which it was not chosen on, and beside the same feature
    shifted in a circle by 200 distances. A unit that follows the text's rhythm alone follows those
    as well. Units that can be read like this: Karpathy, Johnson & Fei-Fei 2016.

    Args:
        model: a recurrent language model.
        data: a text or tokens (N,), of at least 500 tokens. Features are of the text that the
            tokens stand for, at the end of each.
        seed: of the distances.
        double: whether to compute in float64.

    Raises:
        InputError: no such model, too short a text, or one without any of the features.
    """
    reading, tokens = read_text(model, data, "neurons", double=double)
    if len(tokens) < LEAST:
        raise InputError(
            f"neurons: expected a text of at least {LEAST} tokens, received {len(tokens):,}"
        )
    return follow(*_units(reading), features(reading.labels), seed=seed)


def follow(
    places: list[tuple[int, str, int]],
    values: np.ndarray,
    follows: dict[str, np.ndarray],
    *,
    seed: int = 0,
) -> Neurons:
    """`neurons` of values at hand.

    Args:
        places: of each unit its layer, state and number. values: theirs, (N, units).
        follows: by name a feature, (N,): booleans, or numbers.
        seed: of the distances of shifts.

    Raises:
        InputError: both halves lack every feature.
    """
    half = len(values) // 2
    parts = (slice(0, half), slice(half, None))
    ranks = [_ranks(values[part]) for part in parts]
    ranked = [_standard(one) for one in ranks]
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    absent = []
    for name, feature in follows.items():
        halves = [feature[part] for part in parts]
        if any(len(np.unique(one)) < 2 for one in halves):
            absent.append(name)
            continue
        binary = feature.dtype == bool
        first, second = (_standard(_ranks(one[:, None]))[:, 0] for one in halves)
        scores = ranked[0].T @ first / half
        if binary:
            scores = 0.5 + scores * ranks[0].std(0) * _from_rho(halves[0])
        best = int(np.argmax(np.abs(scores - (0.5 if binary else 0.0))))
        unit = ranked[1][:, best]
        steps = rng.choice(np.arange(1, len(second)), size=SHIFTS, replace=False)
        score = float(unit @ second) / len(second)
        chance = np.abs(np.stack([np.roll(second, step) for step in steps]) @ unit) / len(second)
        p = (1 + int((chance >= abs(score) - 1e-12).sum())) / (1 + SHIFTS)
        if binary:
            score = 0.5 + score * float(ranks[1][:, best].std()) * _from_rho(halves[1])
        measure = "AUC" if binary else "rho"
        rows.append((name, measure, *places[best], float(scores[best]), score, p))
    if not rows:
        raise InputError("neurons: the text has none of the features in both of its halves")
    names, measures, layers, states, units, chosen, told, p_values = zip(*rows, strict=True)
    return Neurons(
        names,
        measures,
        np.array(layers),
        states,
        np.array(units),
        np.array(chosen),
        np.array(told),
        np.array(p_values),
        np.array(p_values) <= LEVEL / len(rows),
        tuple(absent),
        len(values),
    )


def features(labels: Iterable[str]) -> dict[str, np.ndarray]:
    """What is true of the text at the end of each token, (N,): booleans, or numbers.

    quotes, brackets: inside. column: characters since the line began. newline: characters until
    the line ends; of the last line, until the text does. indentation: blanks at the line's
    beginning, so far. capitals: the last character is one.
    """
    quoted, depth, column, indent, blank = False, 0, 0, 0, True
    rows, ends, lines, at = [], [], [], 0
    for label in labels:
        for sign in label:
            at += 1
            if sign == "\n":
                column, indent, blank = 0, 0, True
                lines.append(at)
                continue
            column += 1
            blank = blank and sign in " \t"
            indent += blank
            if sign in _QUOTES:
                turn = _QUOTES[sign]
                quoted = (not quoted) if turn is None else turn
            depth = max(0, depth + (sign in _OPENING) - (sign in _CLOSING))
        rows.append((quoted, depth > 0, column, indent, label[-1:].isupper()))
        ends.append(at)
    table = np.array(rows, np.int64).reshape(-1, 5)
    borders = np.array([*lines, at], np.int64)
    until = borders[np.minimum(np.searchsorted(borders, ends), len(borders) - 1)] - np.array(ends)
    return {
        "quotes": table[:, 0].astype(bool),
        "brackets": table[:, 1].astype(bool),
        "column": table[:, 2],
        "newline": until,
        "indentation": table[:, 3],
        "capitals": table[:, 4].astype(bool),
    }


def _units(reading: Reading) -> tuple[list[tuple[int, str, int]], np.ndarray]:
    """Where each unit is (layer, state, number), and its values (N, units)."""
    places: list[tuple[int, str, int]] = []
    parts = []
    for layer, visible in enumerate(reading.run().visible):
        for state, value in named(reading, visible, reading.network.states).items():
            places += [(layer, state, unit) for unit in range(value.shape[-1])]
            parts.append(np.asarray(value, np.float64))
    return places, np.concatenate(parts, 1)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks by column, the mean of those of equal values, (N, K)."""
    count = len(values)
    order = np.argsort(values, axis=0, kind="stable")
    by_size = np.take_along_axis(values, order, 0)
    number = np.arange(count)[:, None]
    new = np.concatenate([np.ones_like(by_size[:1], bool), by_size[1:] != by_size[:-1]])
    begin = np.maximum.accumulate(np.where(new, number, 0), 0)
    last = np.concatenate([new[1:], np.ones_like(new[:1])])
    end = np.minimum.accumulate(np.where(last, number, count)[::-1], 0)[::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (begin + end) / 2.0, 0)
    return ranks


def _standard(ranks: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and mean square 1; constant ones are 0."""
    centred = ranks - ranks.mean(0)
    size = np.sqrt((centred**2).mean(0))
    found: np.ndarray = centred / np.where(size > 0, size, np.inf)
    return found


def _from_rho(feature: np.ndarray) -> float:
    """What turns ρ times the spread of a unit's ranks into AUC - 1/2."""
    share = float(feature.mean())
    return 1 / (len(feature) * float(np.sqrt(share * (1 - share))))
