"""What a task is: the one base of the classes that users name.

A task's class names its tables of settings and options, and adds what is its own: `runtime`,
`predict`, `predict_file`, `evaluate`. Training is in `recurra.tasks.training`.
"""

import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from recurra.errors import FormatError, InputError
from recurra.given import listed, path_of, reason
from recurra.settings import Settings, check, explain, sort
from recurra.storage import ModelFiles, read_model
from recurra.tasks.copies import Copied
from recurra.tasks.job import Job
from recurra.tasks.network import NetworkConfig
from recurra.tasks.pretrained import adopt, read_pretrained

if TYPE_CHECKING:
    from recurra.tasks.learning_rate import LearningRates
    from recurra.train import FitResult

Table = TypeVar("Table", bound=Settings)


@dataclass(frozen=True)
class Fitting:
    """What `help(Class.fit)` says of a task.

    Attributes:
        reads: what it trains on, in the plural.
        keeps: what a model that is trained further keeps beside its weights.
        data: the forms of `data`.
        valid: of `valid`, and what is held out without it.
        example: settings by name.
        lr: the learning rate of adam and adamw where none is given; None for the loop's own.
    """

    reads: str
    keeps: str
    data: str
    valid: str
    example: str
    lr: float | None = None


class Task(Copied):
    """Base of the tasks' classes: a network with its settings, untrained or read from files.

    A class names itself in `task`, as its model directories do, and a person's words for it in
    `title`. Its tables: `Config` and `Data` for `fit`; `Prediction` for `predict_file`, which
    yields rows that have `str` and `to_dict`; `Measurement` for `evaluate`. What it derives from
    its files, it keeps in cached properties.
    """

    task: ClassVar[str]
    title: ClassVar[str]
    fitting: ClassVar[Fitting]
    Config: ClassVar[type[NetworkConfig]]
    Data: ClassVar[type[Settings]]
    Prediction: ClassVar[type[Settings] | None] = None
    Measurement: ClassVar[type[Settings]] = Settings

    config: Any
    _files: ModelFiles | None
    _precision: str

    def __init__(self, **settings: Any) -> None:
        (chosen,) = sort(settings, self.Config)
        self.config = self.Config(**chosen).validate()
        self._files, self._precision = None, "float32"

    def __init_subclass__(cls) -> None:
        """Let `help` show the settings by name: their meanings, defaults and ranges."""
        super().__init_subclass__()
        cls.__signature__ = inspect.signature(cls.Config)  # type: ignore[attr-defined]
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n\nSettings:\n{explain(cls.Config)}"
        cls.fit = _fit_of(cls)  # type: ignore[method-assign]
        if "evaluate" in vars(cls) and cls.Measurement.names():
            own = inspect.cleandoc(cls.evaluate.__doc__ or "")
            cls.evaluate.__doc__ = f"{own}\n\nOptions:\n{explain(cls.Measurement)}"

    def __repr__(self) -> str:
        c = self.config
        trained = "trained" if self._files else "not trained"
        return f"<{type(self).__name__}: {c.cell}, {c.layers} × {c.hidden}, {trained}>"

    @classmethod
    def load(cls, directory: str | Path, *, precision: str = "float32") -> Self:
        """Read a model directory, or the best model of a run.

        Args:
            directory: its path.
            precision: of the layers' products when it runs, whatever it was trained in: `bf16` on
                CPUs that have such products.

        Raises:
            InputError: there is no model at that path, or the precision cannot be had.
            FormatError: it is damaged, foreign, from a newer version, or of another task.
        """
        return cls.from_files(read_model(directory), precision=precision)

    @classmethod
    def from_files(cls, files: ModelFiles, *, precision: str = "float32") -> Self:
        """The model that `read_model` read; `precision` as in `load`."""
        if files.config["task"] != cls.task:
            raise FormatError(
                f"{files.path}: expected a {cls.title}, found a model of the task "
                f"{files.config['task']!r}: open it with recurra.load"
            )
        try:
            config = cls.Config.from_files(files.config)
        except (KeyError, InputError) as error:
            raise FormatError(
                f'{files.path}: config.json, "model": {reason(error)}: restore the file from a copy'
            ) from error
        model = cls.__new__(cls)
        model.config, model._files, model._precision = config, files, precision
        _ = model.runtime  # what is missing or cannot be had is an error now, not at its first use
        return model

    def save(self, directory: str | Path) -> Path:
        """Write the model directory, replacing an older one in one step; returns its path."""
        return self.files.save(directory)

    @property
    def files(self) -> ModelFiles:
        """What its model directory holds: configuration, weights, tokenizer.

        Raises:
            InputError: it is not trained yet.
        """
        if self._files is None:
            raise InputError(f"this {self.title} is not trained yet: call fit, or recurra.load")
        return self._files

    @cached_property
    def runtime(self) -> Any:
        """What runs the model without torch; made of `files` and the precision."""
        raise NotImplementedError

    if TYPE_CHECKING:

        def predict(self, inputs: Any, **options: Any) -> Any:
            """An answer to each of several inputs."""

        def evaluate(self, data: Any, **options: Any) -> Any:
            """The figures of the task, of data it was not trained on."""

    def fit(
        self,
        data: Any,
        *,
        valid: Any = None,
        out: str | Path | None = None,
        fresh: bool = False,
        callbacks: "Sequence[object]" = (),
        progress: bool = True,
        **settings: Any,
    ) -> "FitResult":
        """Train: each class has this with its own words and settings."""
        from recurra.train import Progress, TrainConfig
        from recurra.train.watching import watchers

        folder = None if out is None else path_of(out, "out", "the path of a run", new=True)
        watching = watchers(listed(callbacks, "callbacks", "a list of callbacks"))
        started = time.monotonic()
        lr = self.fitting.lr
        if lr is not None and settings.get("optimizer", "adamw") != "sgd":
            settings["lr"] = lr if settings.get("lr") is None else settings["lr"]
        chosen, how = sort(settings, self.Data, TrainConfig)
        data_settings, train_settings = self.Data(**chosen), TrainConfig(**how)
        check(self.config, data_settings, train_settings)
        before = self.config
        pretrained = self._begin_from(data_settings)
        shown = (Progress(),) if progress else ()
        job = Job(
            source=data,
            valid=valid,
            out=folder,
            fresh=fresh,
            model=self.config,
            data=data_settings,
            train=train_settings,
            files=self._files,
            callbacks=(*shown, *watching),
            started=started,
            pretrained=pretrained,
        )
        try:
            result, best, cleanup = self._train(job)
        except BaseException:
            self.config = before
            raise
        with cleanup:
            self._files = read_model(best)
        for name in [n for n in vars(self) if n not in ("config", "_files", "_precision")]:
            del self.__dict__[name]  # derived from the files of before
        return result

    def find_lr(
        self,
        data: Any,
        *,
        lowest: float = 1e-6,
        highest: float = 1.0,
        steps: int = 100,
        **settings: Any,
    ) -> "LearningRates":
        """Try learning rates: train a copy for some steps while the rate rises (Smith 2017).

        This model stays as it is. The training ends where the loss comes apart.

        Args:
            data: as of `fit`.
            lowest, highest: of the learning rates; each step multiplies it by the same factor.
            steps: to train for.
            settings: more of what `fit` takes, as `valid` and `optimizer`.

        Returns:
            `rates` and `losses` (nats) of the steps, each (N,), `suggestion`, a rate to begin with,
            and `plot(path)`.

        Raises:
            InputError: as of `fit`; or a loss that is not finite at the lowest rates.
        """
        from recurra.tasks.learning_rate import find_lr

        return find_lr(self, data, lowest=lowest, highest=highest, steps=steps, **settings)

    def _options(self, table: type[Table], given: Mapping[str, object]) -> Table:
        """Options of a call as their table; InputError for unknown ones and wrong values."""
        (chosen,) = sort(given, table)
        return table(**chosen).validate()

    def _begin_from(self, data: Settings) -> ModelFiles | None:
        """The language model that the setting `pretrained` names, and settings that fit to it.

        A model that is trained already is one step further.
        """
        directory = getattr(data, "pretrained", None)
        if directory is None or self._files is not None:
            return None
        files = read_pretrained(directory)
        self.config = adopt(self.config, files)
        return files

    def _train(self, job: Job) -> Any:
        """See `recurra.tasks.training.train`."""
        side = self._training_side()
        from recurra.tasks.training import train

        return train(side.SIDE, job)

    @classmethod
    def _training_side(cls) -> Any:
        """The module `training` of the task, or an error that says how to get torch."""
        name = cls.__module__.rpartition(".")[0] + ".training"
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise InputError("training needs torch: pip install recurra[train]") from error


def _filled(name: str, text: str) -> str:
    """An argument of a docstring, in lines."""
    return fill(f"{name}: {text}", 96, initial_indent="    ", subsequent_indent="        ")


def _fit_of(cls: type[Task]) -> Any:
    """`Task.fit` under a class's own words."""

    def fit(self: Task, data: Any, **arguments: Any) -> "FitResult":
        return Task.fit(self, data, **arguments)

    f = cls.fitting
    rate = "" if f.lr is None else f"\n        Without `lr` the learning rate is {f.lr:g}."
    fit.__doc__ = f"""Train on {f.reads}; afterwards this is the model with the best validation.

A model that is trained already goes on from its weights, with its {f.keeps}.

Args:
{_filled("data", f.data)}
{_filled("valid", f.valid)}
    out: directory of the run: checkpoints, metrics, report, best model. The same call again
        resumes it. By default a temporary one.
    fresh: start over where `out` holds a run.
    callbacks: functions, or objects with some of on_start, on_step, on_validation and on_end, which
        get the run's events (`recurra.train.Callback`).
    progress: show a progress bar, or lines where the output is no terminal.
    **settings: the settings of the data below, and fields of `recurra.train.TrainConfig`, by
        name: {f.example}.{rate}

Raises:
    InputError: settings or data that cannot be used; nothing was changed.
    DivergedError: training did not stay finite; `out` keeps the last good checkpoint.
    Interrupted: Ctrl-C; `out` has a checkpoint to go on from.

Settings of the data:
{explain(cls.Data)}"""
    fit.__qualname__, fit.__module__ = f"{cls.__name__}.fit", cls.__module__
    fit.__signature__ = inspect.signature(Task.fit)  # type: ignore[attr-defined]
    return fit
