"""What `help(Class.fit)` says of each task."""

import inspect
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from recurra.settings import explain


@dataclass(frozen=True)
class Fitting:
    """What `help(Class.fit)` says of a task.

    Attributes:
        reads: what it trains on, in the plural.
        keeps: what a model that is trained further keeps beside its weights.
        data: the forms of `data`.
        answers: of `y`, where `data` are the inputs alone.
        valid: of `valid`, and what is held out without it.
        example: settings by name.
        lr: the learning rate of adam and adamw where none is given; None for the loop's own.
    """

    reads: str
    keeps: str
    data: str
    answers: str
    valid: str
    example: str
    lr: float | None = None


_WEIGHTS = (
    "of the examples of `data` in the loss, (N,); those of weight 0 are left out. In validation "
    "the others count alike."
)


def _filled(name: str, text: str) -> str:
    """An argument of a docstring, in lines."""
    return fill(f"{name}: {text}", 96, initial_indent="    ", subsequent_indent="        ")


def fit_of(cls: Any, base: Any) -> Any:
    """`Task.fit`, which is `base`, under a class's own words."""

    def fit(self: Any, data: Any = None, y: Any = None, **arguments: Any) -> Any:
        return base(self, data, y, **arguments)

    f = cls.fitting
    weights = _filled("sample_weight", _WEIGHTS) + "\n" if cls.weighted else ""
    rate = "" if f.lr is None else f"\n        Without `lr` the learning rate is {f.lr:g}."
    fit.__doc__ = f"""Train on {f.reads}; afterwards this is the model with the best validation.

A model that is trained already goes on from its weights, with its {f.keeps}; `fit(X, y)`, as
scikit-learn has it, starts anew. `warm_start` chooses either. The optimizer and the schedule of the
learning rate begin anew in any case.

Args:
{_filled("data", f.data)}
{_filled("y", f.answers)}
{_filled("valid", f.valid)}
    out: directory of the run: checkpoints, metrics, report, best model. The same call again
        resumes it. By default a temporary one.
    fresh: start over where `out` holds a run.
    callbacks: functions, or objects with some of on_start, on_step, on_validation and on_end, which
        get the run's events (`recurra.train.Callback`).
    progress: show a progress bar, or lines where the output is no terminal; by default, as of
        `warm_start`, what the constructor was given.
    warm_start: whether a trained model goes on from its weights; or the path of a run or model
        directory to go on from, with its network and, where none are given, its settings.
{weights}    **settings: those of the data below and of `recurra.train.TrainConfig`, by name:
        {f.example}.{rate}

Returns:
    The model itself; its `fit_result_` has steps, figures and times.

Raises:
    InputError: settings or data that cannot be used; nothing was changed.
    DivergedError: training did not stay finite; `out` keeps the last good checkpoint.
    Interrupted: Ctrl-C; `out` has a checkpoint to go on from.

Settings of the data:
{explain(cls.Data)}"""
    fit.__qualname__, fit.__module__ = f"{cls.__name__}.fit", cls.__module__
    parameters = inspect.signature(base).parameters
    known = [one for name, one in parameters.items() if cls.weighted or name != "sample_weight"]
    fit.__signature__ = inspect.Signature(known)  # type: ignore[attr-defined]
    return fit
