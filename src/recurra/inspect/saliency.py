"""Saliency: which tokens or steps an expectation rests on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief
from recurra.inspect.differentiable import Differentiable, Head, need_torch
from recurra.inspect.language import Language
from recurra.inspect.reading import Reading, read
from recurra.inspect.results import Result, axes

METHODS = ("occlusion", "gradient", "integrated")
#: Points of the path of integrated gradients.
_POINTS = 32


@dataclass(frozen=True, eq=False)
class Saliency(Result):
    """How much each step speaks for the target, (N,); above 0: it makes it more probable.

    steps: their places, the last of which is the one before the target.
    tokens: what each step adds to the text; empty where the data have no text.
    method: how it was measured. target: what is explained.
    score: of the target with all steps as they are (of a language model ln P).
    """

    values: np.ndarray
    steps: np.ndarray
    tokens: tuple[str, ...]
    method: str
    target: str
    score: float

    def figure(self) -> Any:
        """A bar a step."""
        figure, area = axes(f"What speaks for {self.target!r} ({self.method})", "", "share")
        area.bar(np.arange(len(self.values)), self.values)
        if self.tokens:
            shown = [t.replace("\n", "⏎").replace(" ", "␣") for t in self.tokens]
            area.set_xticks(np.arange(len(shown)), shown, fontsize=7)
        return figure


def saliency(
    model: Any,
    data: Any,
    *,
    method: str = "occlusion",
    at: int | None = None,
    target: Any = None,
    back: int = 64,
    part: str | None = None,
    double: bool = False,
) -> Saliency:
    """Which steps an expectation rests on.

    `occlusion` takes a step's input out (the mean input in its place) and reads on: score as it is
    minus score without. `gradient` is the gradient times the input minus that mean; `integrated`
    the same with the gradient's mean on the way from the mean input to the input (Sundararajan et
    al. 2017), whose sum is the score minus that of nothing but mean inputs. These two need torch.
    A linear model gets the same from all three.

    Args:
        model: a recurrent language model; or a layer, whose score is the sum of its output.
        data: as of `gates`.
        method: one of the three.
        at: of a language model, the place of the token that is explained; by default the last.
            Of a layer, the step whose output is.
        target: the token (a text or its number) in place of the one there.
        back: how many steps before it are looked at.
        part, double: as of `gates`.

    Raises:
        InputError: as `gates`; an unknown method or target, a place that is not there.
    """
    if method not in METHODS:
        raise InputError(
            f"saliency: method: expected one of {', '.join(METHODS)}, received {brief(method)}"
        )
    if method != "occlusion":
        need_torch(f"saliency by {method}")
    reading = read(model, data, "saliency", part=part, double=double)
    own = reading.language
    count = int(reading.lengths[0])
    place = count - 1 if at is None else at
    least = 0 if own is None else 1
    if not isinstance(place, int) or not least <= place < count or len(reading.lengths) != 1:
        raise InputError(
            f"saliency: expected one sequence and at from {least} to {count - 1}, received "
            f"{len(reading.lengths)} and {brief(place)}"
        )
    last = place if own is not None else place + 1  # steps that were read before the score
    first = max(0, last - max(1, back))
    wanted = _target(own, reading, place, target)
    x = _inputs(reading)
    mean = x.mean((0, 1))
    part_x, score = x[first:last], _scorer(reading, first, last, wanted)
    base = float(score(part_x)[0])
    if method == "occlusion":
        rows = np.repeat(part_x, last - first, axis=1)
        steps = np.arange(last - first)
        rows[steps, steps] = mean
        values = base - score(rows)
    else:
        values = _by_gradient(reading, first, last, wanted, part_x, mean, method)
    named = "the output" if own is None else own.tokenizer.token(wanted)
    labels = reading.labels[first:last] if reading.labels else ()
    return Saliency(values, np.arange(first, last), labels, method, named, base)


def _target(own: Language | None, reading: Reading, place: int, target: Any) -> int:
    if own is None:
        return -1
    assert reading.tokens is not None
    if target is None:
        return int(reading.tokens[place, 0])
    found = own.tokenizer.id(target) if isinstance(target, str) else target
    if not isinstance(found, int | np.integer) or not 0 <= found < own.steps.vocab_size:
        raise InputError(
            f"saliency: target: expected a token of the model, or its number, received "
            f"{brief(target)}"
        )
    return int(found)


def _inputs(reading: Reading) -> np.ndarray:
    """What the layers read, (T, 1, I)."""
    if reading.x is not None:
        return reading.x[:, :1]
    assert reading.tokens is not None
    return reading.network.inputs(reading.tokens[:, :1])


def _states(reading: Reading, first: int, batch: int) -> Any:
    """The states before a step, for so many rows."""
    network = reading.network
    x = _inputs(reading)[:first]
    state = network.run(x, look=False).states if first else network.start(1)
    return tuple(tuple(np.repeat(s, batch, axis=0) for s in layer) for layer in state)


def _scorer(
    reading: Reading, first: int, last: int, wanted: int
) -> Callable[[np.ndarray], np.ndarray]:
    """From inputs (T, B, I) of the steps first … last - 1 to scores (B,), float64."""

    def score(x: np.ndarray) -> np.ndarray:
        ran = reading.network.run(x, states=_states(reading, first, x.shape[1]), look=False)
        if reading.language is None:
            summed: np.ndarray = ran.outputs[-1].sum(-1, dtype=np.float64)
            return summed
        targets = np.full((1, x.shape[1]), wanted)
        found: np.ndarray = reading.language.steps.chosen(ran.outputs[-1:], targets)[0]
        return found

    return score


def _by_gradient(
    reading: Reading,
    first: int,
    last: int,
    wanted: int,
    x: np.ndarray,
    mean: np.ndarray,
    method: str,
) -> np.ndarray:
    run = Differentiable(reading.network)
    # The midpoints of equal parts of the way; a single point is the input itself.
    shares = (np.arange(_POINTS) + 0.5) / _POINTS if method == "integrated" else np.ones(1)
    steps = np.asarray(mean + shares[None, :, None] * (x - mean), reading.network.dtype)
    rows = run.tensor(steps).requires_grad_()
    outputs = run.run(rows, states=_states(reading, first, len(shares)))[-1]
    if reading.language is None:
        total = outputs.sum()
    else:
        head = Head(reading.language.steps, reading.network.dtype)
        total = -head.losses(outputs, np.full(len(shares), wanted)).sum()
    total.backward()
    slope = rows.grad.numpy().astype(np.float64).mean(1)
    found: np.ndarray = (slope * (x[:, 0] - mean)).sum(-1)
    return found
