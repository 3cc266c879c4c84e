"""Training: one loop for every task, with budget, exact resume, checkpoints, and many processes.

Names are looked up when they are used, so that what needs no torch (`TrainConfig`, the metrics,
the progress display, the report) imports none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.train.budget import Plan
    from recurra.train.config import TrainConfig
    from recurra.train.events import Callback, FitResult, Start, StepDone, Validation
    from recurra.train.interrupt import Interrupted
    from recurra.train.loggers import CSVLog, MLflow, TensorBoard, WandB
    from recurra.train.loop import DivergedError
    from recurra.train.metrics import read_metrics
    from recurra.train.progress import Progress
    from recurra.train.report import write_report
    from recurra.train.task import (
        Batch,
        Judged,
        Layered,
        Planned,
        Rated,
        Sampled,
        State,
        Task,
        Told,
    )
    from recurra.train.training import fit

_HOMES = {
    "Batch": "task",
    "CSVLog": "loggers",
    "Callback": "events",
    "DivergedError": "loop",
    "FitResult": "events",
    "Interrupted": "interrupt",
    "Judged": "task",
    "Layered": "task",
    "MLflow": "loggers",
    "Plan": "budget",
    "Planned": "task",
    "Progress": "progress",
    "Rated": "task",
    "Sampled": "task",
    "Start": "events",
    "State": "task",
    "StepDone": "events",
    "Task": "task",
    "TensorBoard": "loggers",
    "Told": "task",
    "TrainConfig": "config",
    "Validation": "events",
    "WandB": "loggers",
    "fit": "training",
    "read_metrics": "metrics",
    "write_report": "report",
}

__all__ = [
    "Batch",
    "CSVLog",
    "Callback",
    "DivergedError",
    "FitResult",
    "Interrupted",
    "Judged",
    "Layered",
    "MLflow",
    "Plan",
    "Planned",
    "Progress",
    "Rated",
    "Sampled",
    "Start",
    "State",
    "StepDone",
    "Task",
    "TensorBoard",
    "Told",
    "TrainConfig",
    "Validation",
    "WandB",
    "fit",
    "read_metrics",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
