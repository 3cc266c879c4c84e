"""`fit`: from a task, a directory and a configuration to a trained model."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from recurra.errors import FormatError
from recurra.given import NOTHING, LeftOut
from recurra.ops import fixed_order
from recurra.storage import BEST, Checkpoint
from recurra.storage.disk import remove_tree, temporary_beside
from recurra.train import random_state
from recurra.train.budget import Plan, count_batches, judge, make_plan
from recurra.train.checkpoint import Position, RunState, restore, set_weights, weights
from recurra.train.config import TrainConfig
from recurra.train.distributed import World, choose_device, join, lost_ranks_named
from recurra.train.events import Callback, FitResult, Start
from recurra.train.interrupt import Signals
from recurra.train.loop import Loop, save
from recurra.train.metrics import MetricsWriter
from recurra.train.pace import Pace
from recurra.train.report import Reporter
from recurra.train.run_directory import METRICS, RunDirectory
from recurra.train.step import Step
from recurra.train.task import Task
from recurra.train.watching import watchers

# What a budget sets aside for what it cannot time beforehand.
_REPORT_SECONDS = 1.5  # mostly the import of matplotlib
_DISK = 5e8  # bytes a second, written, hashed and read back


def fit(
    task: Task,
    run: str | Path,
    config: TrainConfig,
    *,
    identity: Mapping[str, Any] | None = None,
    fresh: bool = False,
    callbacks: Sequence[object] = (),
    started: float | None = None,
    report: bool = True,
) -> FitResult:
    """Train `task` in the directory `run`, or go on with the run that is there.

    The same call again continues exactly where the run was left, by whatever cause. At the end
    the module holds the weights of the best validation, the directory `best/` too.

    Args:
        task: model, data and loss.
        run: a new or empty directory, or one of an earlier run of the same configuration.
        config: how to train.
        identity: whatever else makes the run what it is (data hash, sizes of the model), as JSON;
            a run is continued only with the same.
        fresh: remove an earlier run there and start over.
        callbacks: functions, or objects with some of the methods of `Callback`, which get the
            events of the run on the first rank.
        started: `time.monotonic()` at which the budget in minutes began; by default now.
        report: write `report.html`, with texts of the model where the task has `samples`.

    Raises:
        InputError: a wrong configuration; a directory that is another's, in use, or holds
            another run.
        FormatError: a directory that is damaged.
        DivergedError: too many steps in a row were not finite.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; the run is saved.
    """
    config.validate()
    watching = watchers(callbacks)
    started = time.monotonic() if started is None else started
    device = choose_device(config.device)
    signals = Signals()
    with (
        lost_ranks_named(),
        join(device) as world,
        signals.listen(),
        random_state.preserved(),
        _torch_settings(config),
    ):
        directory = RunDirectory(Path(run), config, identity or {})
        if report:
            watching = (*watching, Reporter(getattr(task, "samples", None)))
        try:
            call = _Fit(task, config, world, signals, directory, watching, started)
            with call.opened(fresh) as loop:
                if loop is not None:
                    loop.train()
            return call.result()
        finally:
            directory.close()


class _Fit:
    """One call of `fit`."""

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        world: World,
        signals: Signals,
        directory: RunDirectory,
        callbacks: Sequence[Callback],
        started: float,
    ) -> None:
        self.task, self.config, self.world = task, config, world
        self.signals, self.directory, self.started = signals, directory, started
        self.callbacks = tuple(callbacks) if world.first else ()
        task.module.to(world.device)
        random_state.seed(config.seed, world.rank)
        self.save_seconds = 0.0
        self.step = Step(task, config, world)
        self.state = RunState(task.module, self.step.updater, Position())

    @contextmanager
    def opened(self, fresh: bool) -> Iterator[Loop | None]:
        """The loop that trains, None where the run is finished; afterwards the best weights stand.

        Callbacks hear when it begins, and with what result it ends: None where it was cut short.
        """
        recorded, self.save_seconds = self._open(fresh)
        at = self.state.position
        if at.stopped is None:
            self.world.on_first(self._rehearse)
        plan = self._plan() if recorded is None else Plan.from_json(recorded)
        if at.best is not None and plan.goal not in at.best:
            raise FormatError(
                f"{self.directory.path}: its best validation has no {plan.goal}, by which its plan "
                "judges: start over with --fresh"
            )
        if at.stopped == "steps" and at.step < plan.steps:  # the run was made longer
            at.stopped = None
        finished = at.stopped is not None
        at.seconds += 0.0 if finished else time.monotonic() - self.started
        begun: list[Callback] = []
        result = None
        try:
            self._tell_start(plan, begun)
            with self._metrics(finished) as metrics:
                yield None if finished else self._loop(plan, metrics)
            if self.state.best is not None:
                set_weights(self.task.module, self.state.best, str(self.directory.path))
            self.task.module.eval()
            result = self.result()
        finally:
            with ExitStack() as ends:  # all are called, even if one raises an error
                for callback in reversed(begun):
                    ends.callback(callback.on_end, result)

    def _rehearse(self) -> None:
        """Write the model once before it is trained, and take it away again.

        What cannot be written, whatever the names and texts of the data, is told now and loses
        nothing.
        """
        trial = temporary_beside(self.directory.path / BEST)
        try:
            self.task.save(trial)
        finally:
            remove_tree(trial)

    def _open(self, fresh: bool) -> tuple[dict[str, Any] | None, float]:
        """Open the directory and set the state; returns the plan, and the seconds a save took."""
        checkpoint: Checkpoint | None = None

        def open_here() -> tuple[dict[str, Any] | None, bool]:
            nonlocal checkpoint
            plan, checkpoint = self.directory.open(
                world=self.world.size, device=self.world.device.type, fresh=fresh
            )
            return None if plan is None else plan.to_json(), checkpoint is not None

        plan, resumed = self.world.on_first(open_here)
        if resumed:
            held = None if checkpoint is None else (checkpoint.tensors, checkpoint.state)
            restore(self.state, self.world, held, str(self.directory.path))
            return plan, 0.0
        if getattr(self.task, "begun", False):
            self.state.position.validated = -1  # so that it is before the first step
        start = time.monotonic()
        save(self.state, self.world, self.directory, plan="")
        return plan, time.monotonic() - start

    def _plan(self) -> Plan:
        config, world = self.config, self.world
        epoch = count_batches(self.task.batches(0, rank=world.rank, world=world.size))
        rate = getattr(self.task, "validation_cost", None)
        cost = None if rate is None else float(rate())
        plan = make_plan(config, epoch=epoch, cost=cost, world=world.size, device=world.device.type)
        plan = judge(self.task, plan)
        world.on_first(lambda: self.directory.record(plan))
        return plan

    def _pace(self) -> Pace | None:
        """What keeps a budget in minutes."""
        if not self.config.minutes:
            return None
        # A later checkpoint also holds two moments and the best weights.
        size = sum(t.numel() * t.element_size() for t in weights(self.task.module).values())
        reporting = any(isinstance(callback, Reporter) for callback in self.callbacks)
        report = _REPORT_SECONDS if reporting and find_spec("matplotlib") else 0.0
        return Pace(self.config, save=self.save_seconds + 3 * size / _DISK, report=report)

    def _tell_start(self, plan: Plan, begun: list[Callback]) -> None:
        """Call `on_start` of each callback, and note in `begun` which have returned."""
        at = self.state.position
        count = sum(p.numel() for p in self.task.module.parameters())
        notes = list(self.directory.notes)
        notes += [str(self._left_out)] if self._left_out else []
        notes += self._notes
        if at.stopped is not None:
            notes.append(f"{self.directory.path}: finished after {at.step} steps, nothing to do")
        event = Start(self.directory.path, plan, at.step, at.place, count, tuple(notes))
        for callback in self.callbacks:
            callback.on_start(event)
            begun.append(callback)

    @contextmanager
    def _metrics(self, finished: bool) -> Iterator[MetricsWriter | None]:
        """What writes the metrics, on the first rank of a run that is not finished."""
        if finished or not self.world.first:
            yield None
            return
        metrics = MetricsWriter(self.directory.path / METRICS, step=self.state.position.step)
        try:
            yield metrics
        finally:
            metrics.close()

    def _loop(self, plan: Plan, metrics: MetricsWriter | None) -> Loop:
        return Loop(
            self.task,
            self.config,
            plan,
            world=self.world,
            step=self.step,
            state=self.state,
            signals=self.signals,
            directory=self.directory,
            metrics=metrics,
            callbacks=self.callbacks,
            pace=self._pace(),
        )

    def result(self) -> FitResult:
        """What came of it."""
        at = self.state.position
        assert at.stopped is not None
        return FitResult(
            steps=at.step,
            epochs=at.place,
            best=at.best,
            last=at.last,
            stopped=at.stopped,
            seconds=at.seconds,
            tokens_per_second=at.tokens / max(at.train_seconds, 1e-9),
            skipped_steps=at.skipped,
            metrics=self.directory.path / METRICS,
            left_out=self._left_out,
            notes=self._notes,
        )

    @property
    def _left_out(self) -> LeftOut:
        found: LeftOut = getattr(self.task, "left_out", NOTHING)
        return found

    @property
    def _notes(self) -> tuple[str, ...]:
        return tuple(getattr(self.task, "notes", ()))


@contextmanager
def _torch_settings(config: TrainConfig) -> Iterator[None]:
    """Threads and determinism as configured, and as they were at the end."""
    strict = torch.are_deterministic_algorithms_enabled()
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as torch asks for
        torch.use_deterministic_algorithms(True)
    try:
        with fixed_order(config.threads):
            yield
    finally:
        torch.use_deterministic_algorithms(strict)
