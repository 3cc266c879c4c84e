"""Seasonal naive forecasts and exponential smoothing: what a forecaster is measured against."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any, ClassVar, Self

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import NOTHING
from recurra.settings import sort
from recurra.storage import read_model, save_model
from recurra.tasks.forecaster.forecast import Forecast, Forecasts, each, presented
from recurra.tasks.forecaster.outcome import LEVELS
from recurra.tasks.forecaster.panel import Panel, Series, filled
from recurra.tasks.forecaster.scaling import Scaler
from recurra.tasks.forecaster.scores import ForecastScores, backtest
from recurra.tasks.forecaster.settings import ForecastDataConfig, ForecasterConfig

#: Paths that the quantiles of exponential smoothing are taken from.
_PATHS = 500
#: Series that are forecast one by one to measure how long one takes.
_ASKED = 20


def single_inputs(data: Any, model: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Panel]:
    """The first series of a data set, each as a panel of one."""
    (chosen,) = sort(settings, ForecastDataConfig)
    panel = ForecastDataConfig(**chosen).read(data)
    return [replace(panel, series=(one,)) for one in panel.series[:_ASKED]]


class Classical:
    """Base of models that forecast each column of each series by itself.

    Args:
        **settings: of the forecaster and of its data, by name, of which `horizon`, `season`,
            `levels`, `hold_out` and how files are read count here.
    """

    task: ClassVar[str]

    def __init__(self, **settings: Any) -> None:
        chosen, read = sort(settings, ForecasterConfig, ForecastDataConfig)
        self.config = ForecasterConfig(**chosen).validate()
        self.data = ForecastDataConfig(**read).validate()
        self.season = self.config.season
        self._scaler: Scaler | None = None
        self.left_out = NOTHING

    def fit(self, data: Any, *, valid: Any = None, budget: Any = None) -> None:
        """Learn from the values before the last `hold_out`; there is nothing to choose by `valid`,
        which is learnt from too."""
        panel = self.data.read(data)
        if valid is not None:
            panel = panel.followed_by(self.data.read(valid))
        panel, self.left_out = panel.without_last(self.data.hold_out), panel.left_out
        self.season = self.config.season or panel.step.season
        # What errors are standardised by is measured where a forecaster measures it.
        held_out = 0 if valid is not None else self.data.valid_steps or self.config.horizon
        before = [one.until(max(len(one) - held_out, 1)) for one in panel.series]
        plain = replace(panel, series=tuple(before), static_columns=(), known_columns=())
        self._scaler = Scaler.fit(plain, ForecasterConfig(horizon=self.config.horizon))
        for one in panel.series:
            for column in range(len(panel.columns)):
                self._learn((one.name, column), filled(one.values)[:, column])

    def predict(self, data: Any, *, levels: Sequence[float] = ()) -> list[Forecast]:
        """Forecast what follows each series."""
        panel, horizon = self.data.read(data), self.config.horizon
        rows = np.array([[index, len(one)] for index, one in enumerate(panel.series)])
        found = self._forecasts(panel, rows, tuple(levels or LEVELS))
        times = [panel.times(one, len(one) + horizon)[len(one) :] for one in panel.series]
        return each(
            found, [one.name for one in panel.series], panel.columns, times, presented(panel.writer)
        )

    def evaluate(
        self, data: Any, *, truth: Any = None, steps: int | None = None, stride: int = 1
    ) -> ForecastScores:
        """Forecast the end of each series from what came before: see `Forecaster.evaluate`."""
        panel = self.data.read(data)
        if truth is not None:
            panel = panel.followed_by(self.data.read(truth))
        known = steps or self.config.horizon
        plain = replace(panel, static_columns=(), known_columns=())
        tracks = self._trained().tracks(
            plain, lengths=[max(len(one) - known, 1) for one in panel.series]
        )
        return backtest(
            panel,
            lambda rows: self._forecasts(panel, rows, LEVELS),
            horizon=self.config.horizon,
            steps=steps,
            stride=stride,
            season=self.season or 1,
            deviations=[track.deviation for track in tracks],
        )

    def save(self, directory: str | Path) -> Path:
        """Write a model directory: JSON and arrays."""
        config = {
            "task": self.task,
            "model": self.config.to_json(),
            "data": self.data.to_json(),
            "season": self.season,
            "scaler": self._trained().to_json(),
            "learnt": self._learnt(),
        }
        card = f"# {self.__doc__ or ''}".splitlines()[0] + "\n"
        return save_model(
            directory, config=config, tensors={"none": np.zeros(1)}, tokenizer=None, card=card
        )

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read what `save` wrote."""
        files = read_model(directory)
        if files.config["task"] != cls.task:
            raise FormatError(f"{directory}: expected {cls.task}, found {files.config['task']!r}")
        model = cls()
        model.config = ForecasterConfig.from_json(files.config["model"])
        model.data = ForecastDataConfig.from_json(files.config["data"])
        model.season = files.config["season"]
        model._scaler = Scaler.from_json(files.config["scaler"])
        model._recall(files.config["learnt"])
        return model

    @property
    def parameters(self) -> int:
        """Numbers that were fitted."""
        return 0

    def _trained(self) -> Scaler:
        if self._scaler is None:
            raise InputError(f"this {self.task} is not trained yet: call fit")
        return self._scaler

    def _forecasts(self, panel: Panel, rows: np.ndarray, levels: tuple[float, ...]) -> Forecasts:
        self._trained()
        found = [
            [
                self._forecast((one.name, column), history[:, column], levels)
                for column in range(len(panel.columns))
            ]
            for one, history in ((panel.series[t], _history(panel.series[t], o)) for t, o in rows)
        ]
        point = np.array([[column[0] for column in one] for one in found]).swapaxes(1, 2)
        quantiles = np.array([[column[1] for column in one] for one in found]).swapaxes(1, 2)
        return Forecasts(point, point, levels, quantiles)

    def _learn(self, key: tuple[str, int], history: np.ndarray) -> None:
        """Learn from one column (T,) of a series."""

    def _learnt(self) -> Any:
        """What was learnt, as JSON."""
        return None

    def _recall(self, learnt: Any) -> None:
        """Take what `_learnt` gave."""

    @abstractmethod
    def _forecast(
        self, key: tuple[str, int], history: np.ndarray, levels: tuple[float, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The point (h,) and the quantiles (h, Q) after a history (T,)."""


class SeasonalNaive(Classical):
    """The last season again; intervals from the errors of the past, wider each season.

    The deviation k seasons ahead is that of one season times the root of k (Hyndman &
    Athanasopoulos 2021, 5.5). A history shorter than a season repeats its last value.
    """

    task = "seasonal_naive"

    def _forecast(
        self, key: tuple[str, int], history: np.ndarray, levels: tuple[float, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        season = self.season or 1
        season = season if season < len(history) else 1
        steps = np.arange(self.config.horizon)
        point = history[len(history) - season + steps % season]
        errors = history[season:] - history[:-season]
        spread = np.sqrt(np.mean(errors**2)) if len(errors) else 0.0
        spread = spread * np.sqrt(steps // season + 1)
        scores = np.array([NormalDist().inv_cdf(level) for level in levels])
        return point, point[:, None] + spread[:, None] * scores


class ExponentialSmoothing(Classical):
    """ETS: error, trend and season smoothed (Hyndman et al. 2008), by statsmodels.

    Of additive and, where all values are positive, multiplicative forms, without trend and with a
    damped one, the best by AIC is fitted to each column of each series. Forecasting smooths the
    history that is given with these parameters; a series that was not in training is fitted then.
    """

    task = "exponential_smoothing"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._fitted: dict[tuple[str, int], tuple[str, list[float]]] = {}

    @property
    def parameters(self) -> int:
        """See `Classical`."""
        return sum(len(numbers) for _, numbers in self._fitted.values())

    def _learn(self, key: tuple[str, int], history: np.ndarray) -> None:
        self._fitted[key] = self._best(history)

    def _learnt(self) -> Any:
        return [[*key, form, numbers] for key, (form, numbers) in self._fitted.items()]

    def _recall(self, learnt: Any) -> None:
        self._fitted = {(name, column): (form, numbers) for name, column, form, numbers in learnt}

    def _forecast(
        self, key: tuple[str, int], history: np.ndarray, levels: tuple[float, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        form, numbers = self._fitted.get(key) or self._best(history)
        horizon = self.config.horizon
        if form == "constant" or (form.startswith("mul") and history.min() <= 0):
            point = np.full(horizon, history[-1])
            return point, np.repeat(point[:, None], len(levels), axis=1)
        _ets_model()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            smoothed = self._model(history, form).smooth(np.array(numbers))
            point = np.asarray(smoothed.forecast(horizon))
            paths = smoothed.simulate(
                horizon, anchor="end", repetitions=_PATHS, rng=np.random.default_rng(0)
            )
        quantiles = np.quantile(np.asarray(paths).reshape(horizon, -1), levels, axis=1).T
        return point, quantiles

    def _best(self, history: np.ndarray) -> tuple[str, list[float]]:
        best, lowest = ("constant", [0.0]), np.inf
        if np.ptp(history) == 0 or len(history) < 12:
            return best
        season = self.season or 1
        seasonal = season > 1 and len(history) >= 2 * season + 3
        kinds = ["add"] + ["mul"] * bool(history.min() > 0)
        _ets_model()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fits that end early; AIC judges them
            for form in (f"{k},{t},{k if seasonal else ''}" for k in kinds for t in ("", "damped")):
                try:
                    found = self._model(history, form).fit(disp=False, maxiter=200)
                except (ValueError, np.linalg.LinAlgError):
                    continue
                if np.isfinite(found.params).all() and found.aic < lowest:
                    best, lowest = (form, found.params.tolist()), found.aic
        return best

    def _model(self, history: np.ndarray, form: str) -> Any:
        kind, trend, seasonal = form.split(",")
        return _ets_model()(
            history,
            error=kind,
            trend="add" if trend else None,
            damped_trend=bool(trend),
            seasonal=seasonal or None,
            seasonal_periods=self.season if seasonal else None,
        )


def _ets_model() -> Any:
    """statsmodels' class. Its import sets warnings' filters, so it comes before our own."""
    try:
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel
    except ModuleNotFoundError as error:
        raise InputError(
            "exponential smoothing needs statsmodels: pip install recurra[baselines]"
        ) from error
    return ETSModel


def _history(one: Series, origin: int) -> np.ndarray:
    return filled(one.values[:origin])
