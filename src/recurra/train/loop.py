"""The training loop: steps, and at the boundary after each: validation, metrics, checkpoint."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra.errors import InputError, RecurraError
from recurra.storage import BEST
from recurra.train import random_state
from recurra.train.budget import Plan, count_batches
from recurra.train.checkpoint import RunState, capture, weights
from recurra.train.config import TrainConfig
from recurra.train.distributed import World
from recurra.train.events import Callback, StepDone, Validation
from recurra.train.interrupt import NUMBERS, Abandoned, Interrupted, Signals
from recurra.train.layers import Unfreezing
from recurra.train.metrics import MetricsWriter, decode, encode
from recurra.train.pace import Pace
from recurra.train.run_directory import RunDirectory
from recurra.train.schedule import Schedule, plateau
from recurra.train.step import Step
from recurra.train.task import Task

_READ_EVERY = 16  # steps between reads of a GPU's figures: each read lets its queue run dry


class DivergedError(RecurraError):
    """Training stopped because its steps were not finite any more."""


@dataclass(frozen=True)
class _Pending:
    """A step whose figures are still on the device."""

    figures: Tensor
    count: float
    step: int
    epoch: float
    lr: float


class Loop:
    """Trains from the state it is given until the plan is done, a signal comes, or it diverges.

    Every rank runs one, and all of them decide alike. `directory`, `metrics` and `callbacks` are
    for rank 0 alone. With a `pace` the plan is revised so that the run ends in time.
    """

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        plan: Plan,
        *,
        world: World,
        step: Step,
        state: RunState,
        signals: Signals,
        directory: RunDirectory,
        metrics: MetricsWriter | None,
        callbacks: Sequence[Callback],
        pace: Pace | None = None,
    ) -> None:
        self.task, self.config, self.plan, self.world = task, config, plan, world
        self.step, self.state, self.signals = step, state, signals
        self.directory, self.metrics, self.callbacks = directory, metrics, callbacks
        self.at = state.position
        self.pace = pace
        self._follow()
        self._steps_here = 0
        self._read_every = 1 if world.device.type == "cpu" else _READ_EVERY
        self._pending: list[_Pending] = []
        self._since = self._saved = time.monotonic()

    def train(self) -> None:
        """Run to the end."""
        self.task.module.train()
        self._boundary()  # makes up for a validation that a signal cut short
        at = self.at
        for batch, length in self._batches():
            where = self.now.place(at.step)
            lr = self.schedule.at(where, factor=at.factor)
            figures, count, self.state.carried = self.step(
                batch, self.state.carried, lr, shares=self.unfreezing.at(int(where))
            )
            at.step += 1
            self._steps_here += 1
            at.index += 1
            place = at.epoch + at.index / length
            if at.index == length:
                at.epoch, at.index = at.epoch + 1, 0
            self._pending.append(_Pending(figures, count, at.step, place, lr))
            self._boundary()

    def _batches(self) -> Iterator[tuple[Any, int]]:
        """The batches that are due, epoch after epoch, and how many their epoch has."""
        at, world = self.at, self.world
        while at.stopped is None:
            epoch = at.epoch
            batches = self.task.batches(epoch, rank=world.rank, world=world.size)
            length = count_batches(batches)
            while at.stopped is None and at.epoch == epoch:
                yield batches[at.index], length

    def _boundary(self) -> None:
        """What may happen between two steps; here the state of the run is whole."""
        signal_number, save, total = self._agreed()
        if total and not signal_number:
            self.plan = self.plan.revised(self.at.step, total, self.config)
            self.world.on_first(lambda: self.directory.record(self.plan))
        self._follow()
        at, plan = self.at, self.now
        done = at.step >= plan.steps
        due = done or (at.step % plan.eval_every == 0 if plan.eval_every else at.index == 0)
        due = due and at.step > at.validated
        logging = due or (at.step % plan.log_every == 0 and at.step > at.logged)
        if logging or signal_number or save or len(self._pending) >= self._read_every:
            logging |= self._read()
        if at.bad_in_row >= self.config.max_bad_steps:
            self._log({})
            raise DivergedError(self._diverged())
        found: dict[str, float] = {}
        if due and not signal_number:
            found, signal_number = self._validate()
        if found and done:
            at.stopped = "steps"
        if logging and (found or not due):
            self._log(found)
        if signal_number or at.stopped or (save and at.bad_in_row == 0):
            self._save()
        if signal_number:
            raise Interrupted(self._interrupted(), signal_number)

    def _follow(self) -> None:
        """Take up what the plan says from this step on."""
        self.now = self.plan.at(self.at.step, self.config)
        self.schedule = Schedule.plan(self.config, self.now.steps)
        count = len(self.step.layers)
        self.unfreezing = Unfreezing.plan(self.config, self.now.steps, count=count)

    def _wish(self) -> int:
        """The total that the first rank's clock asks for, or 0."""
        at, planned = self.at, self.plan.revisions
        # Where a run goes on, its first boundary was passed before, and later revisions are its
        # own: they are followed, so that it ends as it would have.
        if self.pace is None or not self._steps_here or at.step <= planned[-1][0]:
            return 0
        spent = at.seconds + time.monotonic() - self._since
        return self.pace.wish(self.now, step=at.step, spent=spent)

    def _agreed(self) -> tuple[int, bool, int]:
        """The signal that any rank received (or 0), whether rank 0 is to save, and the total that
        it asks for."""
        received = self.signals.received
        old = time.monotonic() - self._saved >= self.config.checkpoint_every
        save = old and self.world.first and self.at.step > 0
        wish = self._wish() if self.world.first else 0
        saves, total, *came = self.world.total(
            [save, wish, *(received == number for number in NUMBERS)]
        )
        signals = [int(number) for number, ranks in zip(NUMBERS, came, strict=True) if ranks]
        return signals[0] if signals else 0, bool(saves), int(total)

    def _read(self) -> bool:
        """Take the figures of the steps since the last read from the device.

        Every skipped step gets its line in the metrics; returns whether the last step needs one.
        """
        if not self._pending:
            return False
        at, pending = self.at, self._pending
        self._pending = []
        rows = torch.stack([p.figures for p in pending]).tolist()
        passed = self._tick(training=True)
        if self.pace is not None:
            self.pace.stepped(len(pending), passed)
        for step, (total, norm, good) in zip(pending, rows, strict=True):
            at.lr, at.grad_norm = step.lr, norm
            if step.count:  # over nothing there is no loss
                at.loss = total / step.count
            at.place = step.epoch
            at.tokens += int(step.count)
            at.line_tokens += int(step.count)
            at.line_sum += total
            at.line_count += step.count
            at.bad_in_row = 0 if good else at.bad_in_row + 1
            at.skipped += not good
            at.line_skipped += not good
            if self.callbacks:
                self._tell_step(step.step, skipped=not good)
            if not good and step.step < at.step:
                self._log({}, step.step)
        return not rows[-1][2]

    def _validate(self) -> tuple[dict[str, float], int]:
        """Validate on rank 0; returns what was found, or the signal that cut it short."""
        at = self.at
        start = time.monotonic()
        found, number = self.world.on_first(lambda: validate(self.task, self.signals))
        if number:
            return {}, number
        found = decode(found)
        at.validated, at.last = at.step, {"step": at.step, **found}
        goal, sign = self.plan.goal, -1 if self.plan.goal_higher else 1
        if goal not in found:
            raise InputError(
                f"validation: the held-out data have nothing that {goal} could be measured on: "
                "give others"
            )

        def rank(figures: Mapping[str, float]) -> tuple[float, float]:
            return sign * figures[goal], figures["loss"]  # accuracies are often equal

        improved = math.isfinite(found[goal]) and (at.best is None or rank(found) < rank(at.best))
        at.vain = 0 if improved else at.vain + 1
        if improved:
            at.best = at.last
            self.state.best = {k: t.clone() for k, t in weights(self.task.module).items()}
            if hasattr(self.task, "planned"):
                self.task.planned = self.now.text
            self.world.on_first(lambda: self.task.save(self.directory.path / BEST))
        if self.config.schedule == "plateau":
            at.factor, at.waited = plateau(self.config, at.factor, at.waited, improved=improved)
        if self.config.patience is not None and at.vain >= self.config.patience:
            at.stopped = "patience"
        event = Validation(at.step, at.place, found, improved, time.monotonic() - start)
        for callback in self.callbacks:
            callback.on_validation(event)
        passed = self._tick(training=False)
        if self.pace is not None:
            self.pace.validated(passed)
        return found, 0

    def _log(self, found: dict[str, float], step: int | None = None) -> None:
        """Write a line of the metrics, unless it is written, and begin the next."""
        at = self.at
        step = at.step if step is None else step
        if step <= at.logged:
            return
        before, at.logged = at.logged, step
        if self.metrics is not None:
            self._write(
                {
                    "step": step,
                    "epoch": round(at.place, 6),
                    "train_loss": at.line_sum / at.line_count if at.line_count else None,
                    "lr": at.lr,
                    "grad_norm": at.grad_norm,
                    "skipped": at.line_skipped,
                    "tokens": at.tokens,
                    "tokens_per_second": round(at.line_tokens / max(at.line_seconds, 1e-9), 1),
                    "seconds": round(at.seconds, 3),
                    **{f"valid_{name}": value for name, value in found.items()},
                },
                before=before if step == at.step and not found else None,
            )
        at.line_sum = at.line_count = at.line_seconds = 0.0
        at.line_tokens = at.line_skipped = 0

    def _write(self, record: dict[str, Any], *, before: int | None) -> None:
        """Write a line of the metrics. Where the system refuses it, keep what has been trained.

        `before` is the step of the line before where the state is whole; None for the line of a
        validation, which the last checkpoint makes up for.
        """
        assert self.metrics is not None
        try:
            self.metrics.write(record)
        except InputError:
            alone = self.world.size == 1  # the other ranks do not know of it
            if before is not None and alone and self.at.bad_in_row == 0:
                self.at.logged = before
                with suppress(InputError):  # a disk that is full takes no checkpoint either
                    save(self.state, self.world, self.directory, plan=self.plan.text)
            raise

    def _save(self) -> None:
        """Write a checkpoint of the step that is done."""
        self._tick(training=False)
        if self.metrics is not None:
            self.metrics.sync()
        save(self.state, self.world, self.directory, plan=self.plan.text)
        passed = self._tick(training=False)
        if self.pace is not None:
            self.pace.saved(passed)
        self._saved = time.monotonic()

    def _tick(self, *, training: bool) -> float:
        """Count the seconds since the last call, and return them."""
        now = time.monotonic()
        passed, self._since = now - self._since, now
        self.at.seconds += passed
        if training:
            self.at.train_seconds += passed
            self.at.line_seconds += passed
        return passed

    def _tell_step(self, step: int, *, skipped: bool) -> None:
        at = self.at
        event = StepDone(
            step,
            at.place,
            at.loss,
            at.lr,
            at.grad_norm,
            at.tokens,
            at.seconds,
            skipped,
            self.now.steps,
        )
        for callback in self.callbacks:
            callback.on_step(event)

    def _diverged(self) -> str:
        at, path = self.at, self.directory.path
        clip = f"stronger clipping ({self.config.clip / 2:g})" if self.config.clip else "clipping"
        return (
            f"{path}: {at.bad_in_row} steps in a row were not finite, the last was step {at.step} "
            f"(epoch {at.place:.2f}, loss {at.loss:g}, gradient norm {at.grad_norm:g}, learning "
            f"rate {at.lr:g}): training stopped, the last good checkpoint is kept: start over "
            f"with a lower learning rate ({self.config.highest_lr / 3:.2g}) or {clip}"
        )

    def _interrupted(self) -> str:
        at = self.at
        return (
            f"{self.directory.path}: stopped by a signal after step {at.step} of "
            f"{self.now.steps}, checkpoint written: run the same again to go on"
        )


def validate(task: Task, signals: Signals) -> tuple[dict[str, Any], int]:
    """The task's validation as JSON; or nothing, and the signal that cut it short.

    Leaves the module in training mode and the generators as they were.
    """
    task.module.eval()
    try:
        with random_state.preserved(), torch.no_grad(), signals.abandonable():
            found = task.validate()
        return encode({key: float(value) for key, value in found.items()}), 0
    except Abandoned:
        return {}, signals.received
    finally:
        task.module.train()


def save(state: RunState, world: World, directory: RunDirectory, *, plan: str) -> None:
    """Write a checkpoint of the step that is done; `plan` as the option of that name."""
    arrays, values = capture(state, world)
    step, values = state.position.step, {**values, "plan": plan}
    world.on_first(lambda: str(directory.checkpoints.write(step, arrays, values)))
