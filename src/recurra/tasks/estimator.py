"""The manners of scikit-learn's estimators, for every task; scikit-learn itself is not needed.

A task's class has parameters (`get_params`, `set_params`), fitted attributes whose names end with
`_`, and tags. scikit-learn calls these; `clone`, `Pipeline`, `GridSearchCV` and `cross_val_score`
need no more.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recurra.errors import InputError
from recurra.given import columns_of, is_frame, listed, plain, shown, zipped
from recurra.settings import Settings, check, option, sort
from recurra.tasks.copies import Copied
from recurra.train.config import TrainConfig

if TYPE_CHECKING:
    from recurra.tasks.network import NetworkConfig
    from recurra.train import FitResult

#: How scikit-learn writes the number of columns, where there are none.
NO_FEATURES = "feature(s)"
#: Settings of which one says how long training lasts.
_LENGTHS = frozenset({"minutes", "epochs", "steps", "plan"})


@dataclass(frozen=True, kw_only=True)
class Manner(Settings):
    """How `fit` behaves, beside what it trains."""

    progress: bool = option(
        True, "show a progress bar, or lines where the output is no terminal", free=True
    )
    warm_start: bool | None = option(
        None,
        "go on from the weights of a model that is trained already; by default fit(data) does, and "
        "fit(X, y) starts anew, as scikit-learn has it",
        switch=True,
    )


class Estimator(Copied):
    """Base of the tasks' classes: what scikit-learn and its users expect of an estimator.

    `figure` names the figure of `evaluate` that `score` gives, and the factor that makes more of it
    better. `kind` is what scikit-learn calls such an estimator, `weighted` whether `fit` takes
    weights of examples.
    """

    Config: "ClassVar[type[NetworkConfig]]"
    Data: ClassVar[type[Settings]]
    title: ClassVar[str]
    figure: ClassVar[tuple[str, float]]
    kind: ClassVar[str | None] = None
    weighted: ClassVar[bool] = False

    _given: dict[str, Any]
    _config: Any
    #: The network of the next `fit`, where `set_params` changed it after training.
    _next: Any = None
    _files: Any
    _result: "FitResult | None" = None
    _table: "Table | None" = None

    @classmethod
    def _tables(cls) -> tuple[type[Settings], ...]:
        """Tables of what the constructor takes."""
        return cls.Config, cls.Data, TrainConfig, Manner

    def _take(self, settings: Mapping[str, Any]) -> Any:
        """Check all settings given and keep them; returns those of the network.

        Raises:
            InputError: unknown ones, or wrong values; nothing was changed.
        """
        parts = sort(settings, *self._tables())
        made = [table(**part) for table, part in zip(self._tables(), parts, strict=True)]
        check(*made)
        self._given = dict(settings)
        return made[0]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every setting by name, as given, else its default: of the network, data and training.

        Args:
            deep: as scikit-learn has it; there is nothing below.
        """
        usual = {field.name: field.default for table in self._tables() for field in fields(table)}
        return {name: self._given.get(name, value) for name, value in usual.items()}

    def set_params(self, **params: Any) -> Self:
        """Change settings by name; returns the model.

        What is trained already stays as it is until the next `fit`, which starts anew where the
        network's settings are others.

        Raises:
            InputError: unknown ones, or wrong values; nothing was changed.
        """
        config = self._take({**self._given, **params})
        changed = any(name in type(config).names() for name in params)
        if self._files is None:
            self._config = config
        elif changed:
            self._next = config
        return self

    def _settings_of_fit(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of data and training: those of the call before those of the constructor."""
        known = {*self.Data.names(), *TrainConfig.names()}
        own = {name: value for name, value in self._given.items() if name in known}
        if any(settings.get(name) is not None for name in _LENGTHS):
            own = {name: value for name, value in own.items() if name not in _LENGTHS}
        return {**own, **settings}

    def __sklearn_clone__(self) -> Self:
        """An untrained model with the same settings: what `sklearn.base.clone` returns."""
        return type(self)(**self._given)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it is trained, for `sklearn.utils.validation.check_is_fitted`."""
        return self._files is not None

    @property
    def _estimator_type(self) -> str | None:
        """As scikit-learn up to 1.5 asks for it."""
        return self.kind

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn should know of it: a `sklearn.utils.Tags`."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        text = getattr(self._config, "reads_text", self.kind is None)
        inputs = InputTags(
            one_d_array=text,
            two_d_array=not text,
            three_d_array=not text,
            string=text,
            allow_nan=not text,
        )
        classifies, regresses = self.kind == "classifier", self.kind == "regressor"
        return Tags(
            estimator_type=self.kind,
            target_tags=TargetTags(required=self.kind is not None, multi_output=regresses),
            classifier_tags=ClassifierTags() if classifies else None,
            regressor_tags=RegressorTags() if regresses else None,
            input_tags=inputs,
        )

    @property
    def fit_result_(self) -> "FitResult":
        """How the last `fit` of this object ended: steps, figures, times."""
        return self._after_fit("fit_result_", self._result)

    @property
    def n_features_in_(self) -> int:
        """Columns of the table that `fit(X, y)` was given; of sequences, the features of a step."""
        table = self._table
        return self._after_fit("n_features_in_", self._features if table is None else table.width)

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the columns of the frame that `fit(X, y)` was given."""
        names = None if self._table is None else self._table.names
        return self._after_fit(
            "feature_names_in_", None if names is None else np.array(names, object)
        )

    @property
    def _features(self) -> int | None:
        """Numbers that each step of a sequence has; None before training, or of texts."""
        return None

    def _after_fit(self, name: str, value: Any) -> Any:
        """A fitted attribute; AttributeError where it is none, so that `hasattr` says so."""
        if value is None:
            raise AttributeError(f"this {self.title} has no {name}: {_of_no_fit(self)}")
        return value

    @classmethod
    def _joined(cls, X: Any, y: Any) -> Any:
        """`fit(X, y)` as the task's data: pairs of inputs and answers."""
        inputs, answers = listed(X, "X", "a list of inputs"), listed(y, "y", "a list of answers")
        return zipped((inputs, answers), "y")

    def score(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:
        """One figure of `evaluate`, of which more is better: see the table in docs/estimators.md.

        Args:
            X, y: inputs and their answers; or without `y` data as for `evaluate`.
            sample_weight: weights of the examples (N,), where the task has such.

        Raises:
            InputError: data that do not fit the model.
        """
        if sample_weight is not None:
            raise InputError(f"sample_weight: a {self.title} weighs no examples: leave it out")
        name, factor = self.figure
        scores = self.evaluate(X if y is None else self._joined(X, y))
        return factor * float(getattr(scores, name))

    if TYPE_CHECKING:
        evaluate: Callable[..., Any]


@dataclass(frozen=True)
class Table:
    """The columns of a two-dimensional array or frame: how many, and their names if it has any."""

    width: int
    names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, X: Any) -> "Table | None":
        """The columns of `X`; None where it is something else, as a list of sequences that are not
        all of one length."""
        if is_frame(X):
            names = tuple(columns_of(X) or ())
            return cls(len(names), names)
        if isinstance(X, list | tuple):
            rows = [row for row in X if isinstance(row, list | tuple)]
            widths = {len(row) for row in rows}
            flat = rows and not any(hasattr(row[0], "__len__") for row in rows if row)
            return cls(widths.pop()) if flat and len(rows) == len(X) and len(widths) == 1 else None
        shape = getattr(X, "shape", None)
        if not isinstance(shape, tuple) or len(shape) != 2:
            return None
        return cls(int(shape[1]))

    def check(self, X: Any, title: str) -> None:
        """Raise InputError where `X` is an array or frame with other columns than in `fit`; lists
        are free to hold sequences of any length."""
        other = None if isinstance(X, list | tuple) else Table.of(X)
        if other is None:
            return
        if other.width != self.width:
            raise InputError(
                f"X has {other.width} features, but {title} is expecting {self.width} features as "
                "input, as in fit: give sequences of other lengths as a list"
            )
        if self.names and other.names and other.names != self.names:
            raise InputError(
                f"X: expected the columns {', '.join(self.names[:8])}, in this order as in fit, "
                f"received {', '.join(other.names[:8])}"
            )


def not_fitted(message: str) -> InputError:
    """The error of a model that is not trained; scikit-learn's `NotFittedError`, too, where that
    library is loaded."""
    exceptions = sys.modules.get("sklearn.exceptions")
    if exceptions is None:
        return InputError(message)
    both = type("NotFittedError", (InputError, exceptions.NotFittedError), {})
    error: InputError = both(message)
    return error


def weights_of(given: Any, count: int) -> np.ndarray | None:
    """Weights of examples, (N,) float64 with a mean of 1 over those above zero.

    Raises:
        InputError: another number of them, or some that are negative or not finite, or none above
            zero.
    """
    if given is None:
        return None
    array = np.asarray(plain(given))
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        raise InputError(
            f"sample_weight: expected a number for each example, received {shown(given)}"
        )
    if len(array) != count:
        raise InputError(
            f"sample_weight: expected {count} weights, one for each example, received {len(array)}"
        )
    weights = array.astype(np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError("sample_weight: expected finite weights of at least 0: correct the others")
    if not weights.any():
        raise InputError("sample_weight: expected some above zero, received weights of zero only")
    found: np.ndarray = weights / weights[weights > 0].mean()
    return found


def _of_no_fit(model: Estimator) -> str:
    if model._files is None:
        return "it is not trained yet"
    return "only an object has it whose fit was given what it says"


__all__ = ["NO_FEATURES", "Estimator", "Manner", "Table", "not_fitted", "weights_of"]
