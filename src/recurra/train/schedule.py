"""The learning rate as a function of the step, and what validations change about it."""

import math
from dataclasses import dataclass

from recurra.train.config import TrainConfig

_LEAST = 1e-8  # a share that a factor can rise from


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up over `warmup` steps, then `kind`, ending at `floor` × `lr` after `steps`.

    "rising" goes the other way, each step by the same factor, and has no warm-up.
    """

    kind: str
    lr: float
    floor: float
    warmup: int
    steps: int

    @classmethod
    def plan(cls, config: TrainConfig, steps: int) -> "Schedule":
        """The schedule of a run of `steps` steps; a warm-up below 1 is a share of them."""
        warmup = config.warmup * steps if config.warmup < 1 else config.warmup
        if config.schedule == "rising":
            warmup = 0
        lr, least = config.highest_lr, config.min_lr
        return cls(config.schedule, lr, least, min(int(warmup), steps), steps)

    def at(self, step: float, *, factor: float = 1.0) -> float:
        """The learning rate of step number `step`, counted from 0; see `Plan.place`.

        `factor` is what the plateau schedule has come to (see `plateau`).
        """
        if step < self.warmup:
            return self.lr * factor * (step + 1) / (self.warmup + 1)
        if self.kind == "constant":
            return self.lr
        if self.kind == "plateau":
            return self.lr * max(factor, self.floor)
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        if self.kind == "rising":
            return self.lr * max(self.floor, _LEAST) ** (
                1 - min(1.0, step / max(1, self.steps - 1))
            )
        fall = (1 + math.cos(math.pi * done)) / 2 if self.kind == "cosine" else 1 - done
        return self.lr * (self.floor + (1 - self.floor) * fall)


def plateau(
    config: TrainConfig, factor: float, waited: int, *, improved: bool
) -> tuple[float, int]:
    """The plateau schedule's factor after one more validation, and how many it waited in vain."""
    waited = 0 if improved else waited + 1
    if waited > config.plateau_patience:
        return factor * config.plateau_factor, 0
    return factor, waited
