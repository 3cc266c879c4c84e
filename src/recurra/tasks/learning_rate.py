"""A learning rate for new data: one short training in which it rises (Smith 2017).

Leslie N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
"""

import contextlib
import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import InputError
from recurra.tasks.drawing import new_figure, write_figure

if TYPE_CHECKING:
    from recurra.train import StepDone

_MEMORY = 0.9  # of the running mean of the loss, per step
_DIVERGED = 2.0  # times the lowest mean is where a run has come apart


@dataclass(frozen=True)
class LearningRates:
    """How the loss went while the learning rate rose.

    Attributes:
        rates: of each step, rising, (N,).
        losses: of each step, in nats, (N,).
        smoothed: their running mean, (N,).
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def suggestion(self) -> float:
        """Where the smoothed loss falls most for each factor of the learning rate.

        It is a rate to begin a search from: the best one also depends on the length of the training
        and on the schedule.
        """
        lowest = int(np.argmin(self.smoothed))
        if lowest < 2:
            return float(self.rates[0])
        slopes = np.gradient(self.smoothed[: lowest + 1], np.log(self.rates[: lowest + 1]))
        return float(self.rates[int(np.argmin(slopes))])

    def __repr__(self) -> str:
        return (
            f"<LearningRates: {len(self.rates)} from {self.rates[0]:.2g} to {self.rates[-1]:.2g}, "
            f"suggestion {self.suggestion:.2g}>"
        )

    def plot(self, path: str | Path) -> Path:
        """Draw the losses over the learning rate into a file; returns its path.

        Raises:
            InputError: matplotlib is not installed, or the file cannot be written.
        """
        figure, axes = new_figure(6, 4)
        axes.plot(self.rates, self.losses, ".", color="0.75", label="a step")
        axes.plot(self.rates, self.smoothed, color="#0b6e99", label="running mean")
        axes.axvline(self.suggestion, color="#d1495b", linewidth=1, label="steepest fall")
        low, high = float(np.min(self.smoothed)), float(self.smoothed[0])
        axes.set_ylim(low - 0.2 * (high - low or 1), high + 0.3 * (high - low or 1))
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss (nats)")
        axes.set_title(f"Loss falls most at a learning rate of {self.suggestion:.2g}", fontsize=10)
        axes.legend(frameon=False)
        return write_figure(figure, path)


class _EnoughError(Exception):
    """Ends the training."""


class _Watch:
    """Notes rates and losses; ends the training when the loss comes apart, or at its last step."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self._mean = 0.0

    def on_step(self, event: "StepDone") -> None:
        if event.skipped or not math.isfinite(event.loss):
            raise _EnoughError
        self.rates.append(event.lr)
        self.losses.append(event.loss)
        self._mean = _MEMORY * self._mean + (1 - _MEMORY) * event.loss
        self.smoothed.append(self._mean / (1 - _MEMORY ** len(self.losses)))
        apart = self.smoothed[-1] > _DIVERGED * min(self.smoothed)
        if apart or event.step >= self.steps:
            raise _EnoughError


def find_lr(
    model: Any,
    data: Any,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    **settings: Any,
) -> LearningRates:
    """Train a copy of `model` for `steps` steps while the learning rate rises.

    See `Task.find_lr`.
    """
    if not 0 < lowest < highest:
        raise InputError(
            f"expected 0 < lowest < highest, received lowest={lowest!r}, highest={highest!r}"
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 10:
        raise InputError(f"steps: expected a number from 10 on, received {steps!r}")
    taken = [
        n for n in ("lr", "schedule", "min_lr", "warmup", "minutes", "epochs") if n in settings
    ]
    if taken:
        raise InputError(
            f"{taken[0]}: is what find_lr sets itself: give it lowest, highest and steps"
        )
    watch = _Watch(steps)
    with contextlib.suppress(_EnoughError):
        copy.deepcopy(model).fit(
            data,
            **settings,
            steps=steps,
            schedule="rising",
            lr=highest,
            min_lr=lowest / highest,
            progress=False,
            callbacks=[watch],
        )
    if len(watch.rates) < 3:
        raise InputError(
            f"after {len(watch.rates)} steps the loss was not finite: give a lower `lowest`"
        )
    return LearningRates(*map(np.array, (watch.rates, watch.losses, watch.smoothed)))
