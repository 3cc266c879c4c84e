"""Callbacks that write a run's figures down: CSV, TensorBoard, Weights & Biases, MLflow.

All write the same names: `train/loss` (mean since the last line), `train/lr` and `train/grad_norm`
every few steps, and `valid/NAME` for each figure of a validation, against the step.
"""

import csv
import importlib
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from recurra.bounded import exists, open_regular
from recurra.errors import InputError
from recurra.storage.disk import refusals_named
from recurra.train.events import FitResult, Start, StepDone, Validation


class Logger:
    """What the loggers share.

    Args:
        every: steps between lines of training; by default as often as `metrics.jsonl` has one.
    """

    def __init__(self, *, every: int | None = None) -> None:
        if every is not None and (isinstance(every, bool) or every < 1):
            raise InputError(f"every: expected a number of steps from 1 on, received {every!r}")
        self._every = every
        self._between = 1
        self._sum, self._count = 0.0, 0

    def open(self, event: Start) -> None:
        """Before the first step; a run that goes on has `event.step` > 0."""
        raise NotImplementedError

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Figures by name at a step. Those of training hold finite numbers, or NaN."""
        raise NotImplementedError

    def close(self, result: FitResult | None) -> None:
        """At the end; None where an error or a signal ended the run."""

    def on_start(self, event: Start) -> None:
        """Open what is written to."""
        self._between = self._every or event.plan.log_every
        self._sum, self._count = 0.0, 0
        self.open(event)

    def on_step(self, event: StepDone) -> None:
        """Write a line every few steps."""
        if not event.skipped:
            self._sum, self._count = self._sum + event.loss, self._count + 1
        if event.step % self._between == 0:
            loss = self._sum / self._count if self._count else math.nan
            self._sum, self._count = 0.0, 0
            figures = {"loss": loss, "lr": event.lr, "grad_norm": event.grad_norm}
            self.write(event.step, {f"train/{name}": value for name, value in figures.items()})

    def on_validation(self, event: Validation) -> None:
        """Write a validation's figures."""
        self.write(event.step, {f"valid/{name}": x for name, x in event.metrics.items()})

    def on_end(self, result: FitResult | None) -> None:
        """Close what was written to."""
        self.close(result)


class CSVLog(Logger):
    """One row for each figure: step, name, value. A run that goes on continues the file.

    pandas makes columns of it: `pd.read_csv(path).pivot(index="step", columns="name")`.

    Args:
        path: the file, by default `log.csv` in the run's directory. A run that starts anew
            replaces it.
        every: as of `Logger`.
    """

    def __init__(self, path: str | Path | None = None, *, every: int | None = None) -> None:
        super().__init__(every=every)
        self._path = None if path is None else Path(path)
        self._file: TextIO | None = None

    def open(self, event: Start) -> None:
        """Keep the rows up to the step from which the run goes on."""
        path = event.run / "log.csv" if self._path is None else self._path
        kept = _rows(path, event.step) if event.step and exists(path) else []
        with refusals_named(path):
            self._file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115
            csv.writer(self._file).writerows([("step", "name", "value"), *kept])
            self._file.flush()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """A row for each figure."""
        assert self._file is not None
        with refusals_named(Path(self._file.name)):
            csv.writer(self._file).writerows((step, n, repr(x)) for n, x in values.items())
            self._file.flush()

    def close(self, result: FitResult | None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _rows(path: Path, step: int) -> list[list[str]]:
    """The rows of a log up to a step. A torn last row is left out."""
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(
            f"{path}: is no log of a run ({error}): give CSVLog another file"
        ) from error
    if rows[:1] not in ([], [["step", "name", "value"]]):
        raise InputError(f"{path}: is no log of a run: give CSVLog another file")
    return [row for row in rows[1:] if len(row) == 3 and row[0].isdigit() and int(row[0]) <= step]


class TensorBoard(Logger):
    """Scalars for TensorBoard, as `tensorboard --logdir FOLDER` shows them.

    Args:
        folder: by default `tensorboard` in the run's directory.
        every: as of `Logger`.
    """

    def __init__(self, folder: str | Path | None = None, *, every: int | None = None) -> None:
        super().__init__(every=every)
        _package("tensorboard")
        self._folder = folder
        self._writer: Any = None

    def open(self, event: Start) -> None:
        """Hide what an earlier part of the run wrote beyond the step from which it goes on."""
        from torch.utils.tensorboard import SummaryWriter

        folder = event.run / "tensorboard" if self._folder is None else self._folder
        purge = event.step + 1 if event.step else None
        self._writer = SummaryWriter(str(folder), purge_step=purge)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """A scalar for each figure."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, result: FitResult | None) -> None:
        """Write out what is waiting."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class WandB(Logger):
    """A run of Weights & Biases.

    Args:
        every: as of `Logger`.
        settings: of `wandb.init`, as `project="names", mode="offline"`.
    """

    def __init__(self, *, every: int | None = None, **settings: Any) -> None:
        super().__init__(every=every)
        self._wandb, self._settings = _package("wandb"), settings
        self._run: Any = None

    def open(self, event: Start) -> None:
        """Begin a run there, with the plan and the number of parameters as its settings."""
        given = dict(self._settings)
        own = {"run": str(event.run), "parameters": event.parameters, "steps": event.plan.steps}
        given["config"] = {**own, **dict(given.get("config") or {})}
        self._run = self._wandb.init(**given)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """The figures of a step in one row."""
        self._run.log(dict(values), step=step)

    def close(self, result: FitResult | None) -> None:
        """Say how it ended."""
        if self._run is not None:
            self._run.finish(exit_code=1 if result is None else 0)
            self._run = None


class MLflow(Logger):
    """A run of MLflow, in the run that is active, or in one of its own.

    Args:
        experiment: where a run of its own is listed.
        tracking_uri: of the store, as `sqlite:///mlflow.db`.
        every: as of `Logger`.
        settings: of `mlflow.start_run`, as `run_name="names"`.
    """

    def __init__(
        self,
        experiment: str | None = None,
        *,
        tracking_uri: str | None = None,
        every: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(every=every)
        self._mlflow = _package("mlflow")
        self._experiment, self._uri, self._settings = experiment, tracking_uri, settings
        self._run: Any = None
        self._own = False

    def open(self, event: Start) -> None:
        """Begin a run there unless one is active."""
        if self._uri is not None:
            self._mlflow.set_tracking_uri(self._uri)
        active = self._mlflow.active_run()
        self._own = active is None
        if self._own and self._experiment is not None:
            self._mlflow.set_experiment(self._experiment)
        self._run = self._mlflow.start_run(**self._settings) if self._own else active
        own = {"run": str(event.run), "parameters": event.parameters, "steps": event.plan.steps}
        self._mlflow.log_params(own)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """A metric for each figure."""
        identity = self._run.info.run_id
        self._mlflow.log_metrics(dict(values), step=step, run_id=identity)

    def close(self, result: FitResult | None) -> None:
        """End the run if it is ours."""
        if self._run is not None and self._own:
            self._mlflow.end_run("FAILED" if result is None else "FINISHED")
        self._run = None


def _package(name: str) -> Any:
    """A package that is installed. InputError says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{name} is not installed: pip install {name}") from error
