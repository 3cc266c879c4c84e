"""What a run tells to those who watch it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recurra.given import NOTHING, LeftOut
from recurra.train.budget import Plan


@dataclass(frozen=True)
class Start:
    """The run begins, or goes on after `step` steps; `notes` are lines the user should see."""

    run: Path
    plan: Plan
    step: int
    epoch: float
    parameters: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepDone:
    """One step, with its mean loss in nats; `skipped` where its update was not made.

    `tokens` are those since the run began, `seconds` the time it has taken, validations included;
    `planned` is how many steps the run is to have, as planned by now.
    """

    step: int
    epoch: float
    loss: float
    lr: float
    grad_norm: float
    tokens: int
    seconds: float
    skipped: bool
    planned: int = 0


@dataclass(frozen=True)
class Validation:
    """One validation; `metrics` are what the task found, `best` whether it is the best so far."""

    step: int
    epoch: float
    metrics: Mapping[str, float]
    best: bool
    seconds: float


@dataclass(frozen=True)
class FitResult:
    """How a run ended.

    `best` and `last` are the metrics of the best and the last validation, each with its "step".
    `stopped` is "steps" (all done) or "patience". `seconds` are those of training, over all
    resumes; `tokens_per_second` counts validations and checkpoints as time too. `left_out` says
    what of the data could not be used, `notes` what was switched off, and why.
    """

    steps: int
    epochs: float
    best: Mapping[str, float] | None
    last: Mapping[str, float] | None
    stopped: str
    seconds: float
    tokens_per_second: float
    skipped_steps: int
    metrics: Path
    left_out: LeftOut = NOTHING
    notes: tuple[str, ...] = ()


class Callback(Protocol):
    """Watches a run, on rank 0 only. An error raised in it ends the run."""

    def on_start(self, event: Start) -> None:
        """Before the first step."""

    def on_step(self, event: StepDone) -> None:
        """After each step; on a GPU a few steps late, several at a time."""

    def on_validation(self, event: Validation) -> None:
        """After each validation."""

    def on_end(self, result: FitResult | None) -> None:
        """At the end; None where an error or a signal ended the run."""
