"""What a task is: the one base of the classes that users name.

A task's class names its tables of settings and options, and adds what is its own: `runtime`,
`predict`, `predict_file`, `evaluate`, `open_stream`. Training is in `recurra.tasks.training`.
"""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from recurra.errors import FormatError, InputError
from recurra.given import listed, path_of, reason
from recurra.runtime.streams import Identity
from recurra.settings import Settings, check, explain, sort
from recurra.storage import BEST, ModelFiles, read_model
from recurra.tasks.copies import derived
from recurra.tasks.estimator import Estimator, Manner, Table, not_fitted
from recurra.tasks.fitting import Fitting, fit_of
from recurra.tasks.further import further_settings, same_network
from recurra.tasks.job import Job
from recurra.tasks.module import WithModule
from recurra.tasks.network import NetworkConfig
from recurra.tasks.pretrained import adopt, read_pretrained

if TYPE_CHECKING:
    from recurra.tasks.learning_rate import LearningRates
    from recurra.train import TrainConfig

Options = TypeVar("Options", bound=Settings)


class Task(Estimator, WithModule):
    """Base of the tasks' classes: a network with its settings, untrained or read from files.

    A class names itself in `task`, as its model directories do, and a person's words for it in
    `title`. Its tables: `Config` and `Data` for `fit`; `Prediction` for `predict_file`, which
    yields rows that have `str` and `to_dict`; `Measurement` for `evaluate`. What it derives from
    its files, it keeps in properties that are `derived`.
    """

    task: ClassVar[str]
    title: ClassVar[str]
    fitting: ClassVar[Fitting]
    Config: ClassVar[type[NetworkConfig]]
    Data: ClassVar[type[Settings]]
    Prediction: ClassVar[type[Settings] | None] = None
    Measurement: ClassVar[type[Settings]] = Settings

    _files: ModelFiles | None
    _precision: str

    def __init__(self, **settings: Any) -> None:
        self._config = self._take(settings)
        self._files, self._precision = None, "float32"

    def __init_subclass__(cls) -> None:
        """Let `help` show the settings by name: their meanings, defaults and ranges."""
        super().__init_subclass__()
        signatures = [inspect.signature(table) for table in cls._tables()]
        every = [part for one in signatures for part in one.parameters.values()]
        cls.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        cls.__doc__ = f"""{inspect.cleandoc(cls.__doc__ or "")}

Settings:
{explain(cls.Config)}

    Those of `fit`, for data and training, may be given here, too, and hold for each `fit` that is
    not given others.
{explain(Manner)}"""
        cls.fit = fit_of(cls, Task.fit)  # type: ignore[method-assign]
        if "evaluate" in vars(cls) and cls.Measurement.names():
            own = inspect.cleandoc(cls.evaluate.__doc__ or "")
            cls.evaluate.__doc__ = f"{own}\n\nOptions:\n{explain(cls.Measurement)}"

    @property
    def config(self) -> Any:
        """The settings of the network."""
        return self._config

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
        model._adopt(config, files, precision)
        _ = model.runtime  # what is missing or cannot be had is an error now, not at its first use
        return model

    def _adopt(self, config: Any, files: ModelFiles, precision: str) -> None:
        """Become the model that was read."""
        usual = {field.name: field.default for field in fields(config)}
        values = {name: getattr(config, name) for name in usual}
        self._given = {name: value for name, value in values.items() if value != usual[name]}
        self._config, self._files, self._precision = config, files, precision

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
            raise not_fitted(f"this {self.title} is not trained yet: call fit, or recurra.load")
        return self._files

    @derived
    def runtime(self) -> Any:
        """What runs the model without torch; made of `files` and the precision."""
        raise NotImplementedError

    @property
    def _identity(self) -> Identity:
        """What tells it from other models: a state of a stream goes on in the same one only."""
        return Identity.of(self.files, self._precision)

    if TYPE_CHECKING:
        # Each class has these with options of its own. As attributes they take any.
        predict: Callable[..., Any]
        evaluate: Callable[..., Any]
        open_stream: Callable[..., Any]

    def fit(
        self,
        data: Any = None,
        y: Any = None,
        *,
        valid: Any = None,
        out: str | Path | None = None,
        fresh: bool = False,
        callbacks: "Sequence[object]" = (),
        progress: bool | None = None,
        warm_start: bool | str | Path | None = None,
        sample_weight: Any = None,
        **settings: Any,
    ) -> Self:
        """Train: each class has this with its own words and settings."""
        from recurra.train import Progress, TrainConfig
        from recurra.train.watching import watchers

        folder = None if out is None else path_of(out, "out", "the path of a run", new=True)
        watching = watchers(listed(callbacks, "callbacks", "a list of callbacks"))
        started = time.monotonic()
        begun = None
        if warm_start is not None and not isinstance(warm_start, bool):
            where = path_of(warm_start, "warm_start", "true, false, or the path of a run")
            begun, warm_start = self._begun(where, folder), True
        manner = Manner(
            progress=self._given.get("progress", True) if progress is None else progress,
            warm_start=self._given.get("warm_start") if warm_start is None else warm_start,
        )
        settings = self._settings_of_fit(settings)
        if begun is not None:
            settings = further_settings(begun, settings, self.Data)
        source = self._data_of(data, y, settings)
        lr = self.fitting.lr
        if lr is not None and settings.get("optimizer", "adamw") != "sgd":
            settings["lr"] = lr if settings.get("lr") is None else settings["lr"]
        chosen, how = sort(settings, self.Data, TrainConfig)
        data_settings, train_settings = self.Data(**chosen), TrainConfig(**how)
        check(self._next or self.config, data_settings, train_settings, manner)
        if sample_weight is not None and not self.weighted:
            raise InputError(f"sample_weight: a {self.title} weighs no examples: leave it out")
        before = self._config, self._files, self._given
        try:
            if begun is None:
                self._begin(manner.warm_start, anew=y is not None)
            else:
                given = self._given
                self._adopt(self.Config.from_files(begun.config), begun, self._precision)
                self._given = {**self._given, **given}
            source, train_settings = self._suited(source, data_settings, train_settings)
            pretrained = self._begin_from(data_settings)
            shown = (Progress(),) if manner.progress else ()
            job = Job(
                source=source,
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
                weights=sample_weight,
                begun=None if begun is None else begun.sha256,
            )
            side = self._training_side()
            from recurra.tasks.training import train

            result, best, cleanup = train(side.SIDE, job)
        except BaseException:
            self._config, self._files, self._given = before
            raise
        with cleanup:
            self._files = read_model(best)
        self._result, self._next = result, None
        self._table = None if y is None else Table.of(data)
        self._derive()
        return self

    def _begun(self, path: Path, out: Path | None) -> ModelFiles:
        """The model to go on from, whose network is the one that was given, if any."""
        if out is not None and path.resolve() in (out.resolve(), (out / BEST).resolve()):
            raise InputError(
                f"{out}: is the run to go on from, which stays as it is: choose another --out"
            )
        model = type(self).load(path)
        own = self.Config.names()
        chosen = {name: value for name, value in self._given.items() if name in own}
        same_network(model.config, self.Config(**chosen), chosen, path)
        return model.files

    def _begin(self, warm: bool | None, *, anew: bool) -> None:
        """Decide whether training goes on from the weights that are there, or starts anew."""
        if self._files is None:
            return
        if warm and self._next is not None:
            raise InputError(
                "warm_start: a trained model keeps its network, and set_params has changed it: "
                "start anew with warm_start=False, or make a new model"
            )
        if warm is False or (warm is None and (anew or self._next is not None)):
            (chosen, *_) = sort(self._given, *self._tables())
            self._files, self._config = None, self._next or self.Config(**chosen)

    def _data_of(self, data: Any, y: Any, settings: dict[str, Any]) -> Any:
        """The data of a call of `fit`; takes what says more of them out of the settings."""
        return data if y is None else self._joined(data, y)

    def _suited(self, source: Any, data: Any, train: "TrainConfig") -> "tuple[Any, TrainConfig]":
        """Set what is left to the data in the network's settings; returns the data, which may have
        been read, and the settings of training for them."""
        return source, train

    def _derive(self) -> None:
        """Make anew what is derived from the files."""
        self._forget()
        cls = type(self)
        for name in dir(cls):
            if isinstance(getattr(cls, name, None), derived):
                getattr(self, name)

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

    def _options(self, table: type[Options], given: Mapping[str, object]) -> Options:
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
        self._config = adopt(self.config, files)
        return files

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
