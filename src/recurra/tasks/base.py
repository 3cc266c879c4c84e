"""What the classes of all tasks share: settings, training, saving and loading."""

import inspect
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from recurra.errors import FormatError, InputError
from recurra.given import listed, path_of
from recurra.settings import Settings, check, sort
from recurra.storage import ModelFiles, read_model
from recurra.tasks.copies import Copied
from recurra.tasks.job import Job
from recurra.tasks.network import NetworkConfig
from recurra.tasks.pretrained import adopt, read_pretrained

if TYPE_CHECKING:
    from recurra.train import Callback, FitResult


class TrainingSide(Protocol):
    """The module `training` of a task, the one part of it that needs torch."""

    def train(self, job: Job) -> "tuple[FitResult, Path, ExitStack]":
        """Train as `job` says.

        Returns the result, the directory of the best model, and what removes that directory again
        where `job` names none.
        """


class TrainedModel(Copied):
    """Base of the tasks' classes: a network with its settings, untrained or read from files.

    A task's class names itself in `task`, as its model directories do, and a person's words for it
    in `title`; its two tables of settings are `Config` and `Data`. What it derives from its files,
    it keeps in cached properties. A task that `recurra predict` serves has a table `Prediction` of
    options and a method `predict_file(source, options)`, which yields rows that have `str` and
    `to_dict`; one whose `evaluate` has options for `recurra evaluate` has them in a table
    `Measurement`; defaults of training that are its own are in `usual`.
    """

    task: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[NetworkConfig]]
    Data: ClassVar[type[Settings]]

    config: Any
    _files: ModelFiles | None
    _precision: str

    def __init__(self, **settings: Any) -> None:
        (chosen,) = sort(settings, self.Config)
        self.config = self.Config(**chosen).validate()
        self._files, self._precision = None, "float32"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # What help() shows: the settings by name.
        cls.__signature__ = inspect.signature(cls.Config)  # type: ignore[attr-defined]

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
                f"{files.config['task']!r}"
            )
        try:
            config = cls.Config.from_files(files.config)
        except (KeyError, InputError) as error:
            raise FormatError(f'{files.path}: config.json, "model": {error}') from error
        model = cls.__new__(cls)
        model.config, model._files, model._precision = config, files, precision
        _ = model.runtime  # what is missing or cannot be had is told now
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

    def _train(
        self,
        data: Any,
        *,
        valid: Any,
        out: str | Path | None,
        fresh: bool,
        callbacks: "Sequence[Callback]",
        progress: bool,
        settings: dict[str, Any],
    ) -> "FitResult":
        """What the `fit` of every task does; see its arguments there."""
        from recurra.train import Progress, TrainConfig

        folder = None if out is None else path_of(out, "out", "the path of a run", new=True)
        watching = listed(callbacks, "callbacks", "a list of callbacks")
        started = time.monotonic()
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
            result, best, cleanup = self._training_side().train(job)
        except BaseException:
            self.config = before
            raise
        with cleanup:
            self._files = read_model(best)
        for name in [n for n in vars(self) if n not in ("config", "_files", "_precision")]:
            del self.__dict__[name]  # derived from the files of before
        return result

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

    @classmethod
    def _training_side(cls) -> TrainingSide:
        """The torch side of the task, or an error that says how to get torch."""
        name = cls.__module__.rpartition(".")[0] + ".training"
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise InputError("training needs torch: pip install recurra[train]") from error
