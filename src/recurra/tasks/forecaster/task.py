"""`Forecaster`: train it, let it forecast, test it on the past. Only training needs torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import brief
from recurra.runtime import Architecture
from recurra.runtime.stream_state import StreamState
from recurra.runtime.streams import restored
from recurra.settings import Settings, option
from recurra.tasks.answers import Answers, Unanswered
from recurra.tasks.copies import derived
from recurra.tasks.estimator import weights_of
from recurra.tasks.forecaster.calibration import width_of
from recurra.tasks.forecaster.described import PointForecast, described
from recurra.tasks.forecaster.draws import Draws, Random
from recurra.tasks.forecaster.forecast import Forecast, Forecasts, each, presented
from recurra.tasks.forecaster.levels import levels_of
from recurra.tasks.forecaster.outcome import PATHS, from_numbers, from_paths
from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.paths import sample_paths
from recurra.tasks.forecaster.rows import NAME, Rows, numbers, panel, r_squared
from recurra.tasks.forecaster.runtime import ForecastShape, RuntimeForecaster
from recurra.tasks.forecaster.scaling import Scaler, Track
from recurra.tasks.forecaster.scores import ROWS, ForecasterScores, backtest
from recurra.tasks.forecaster.settings import ForecasterData, ForecasterSettings, SeriesSettings
from recurra.tasks.forecaster.short import long_enough, suited
from recurra.tasks.forecaster.stream import ForecastReader, ForecastStream
from recurra.tasks.forecaster.windows import WindowSource
from recurra.tasks.protocol import Fitting, Task

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self, Unpack

    from recurra.tasks.forecaster.options import Chosen, Measured, Trained
    from recurra.train import TrainConfig

    pass


@dataclass(frozen=True, kw_only=True)
class ForecasterOptions(Settings):
    """Options of `recurra predict` for forecasters."""

    levels: Any = option(  # noqa: RUF009
        None, "quantiles to give, with commas: 0.1,0.5,0.9", text=True, objects=True
    )
    samples: int = option(0, "draws to give of each series", least=0, whole=True)
    seed: int = option(0, "seed of what is drawn", least=0, whole=True)
    skip_bad: bool = option(False, "leave out rows that cannot be read, and report them")
    times: str | None = option(
        None,
        "how times are written: as in the file, or as in ISO 8601; by default as in the file, but "
        "for dates whose day and month could be confused",
        choices=("file", "iso"),
    )


@dataclass(frozen=True, kw_only=True)
class ForecasterMeasurement(Settings):
    """Options of `recurra evaluate` for forecasters: see `Forecaster.evaluate`."""

    truth: Any = option(  # noqa: RUF009
        None, "file of what followed; by default the end of FILE itself", text=True, objects=True
    )
    steps: int | None = option(
        None, "last values that are forecast: by default a horizon, once", least=1, whole=True
    )
    stride: int = option(1, "steps from one forecast of them to the next", least=1, whole=True)
    seed: int = option(0, "seed of what is drawn", least=0, whole=True)
    skip_bad: bool = option(False, "leave out rows that cannot be read, and report them")


class Forecaster(Task):
    """A recurrent forecaster of one series or many, under one set of weights.

    The arguments are the fields of `ForecasterSettings`, by name:
    `Forecaster(horizon=48, lookback=336, segment=24, output="student_t")`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "forecaster"
    title = "forecaster"
    fitting = Fitting(
        reads="series",
        keeps="scales, which are learnt from the values before the validation alone",
        data=(
            "a CSV, TSV or Parquet file, a DataFrame, a `Panel`, or arrays as `Panel.of` "
            "takes them."
        ),
        answers=(
            "what followed each row of `data`, numbers (N,) or (N, horizon), where the rows of "
            "`data` (N, T) are histories: each row is an example by itself."
        ),
        valid=(
            "the values that follow those of `data`, series by series; by default the last "
            "`valid_steps` of `data` itself."
        ),
        example="`minutes=3`, `hold_out=48`, `batch=64`",
    )
    Config = ForecasterSettings
    Data = ForecasterData
    Prediction = ForecasterOptions
    Measurement = ForecasterMeasurement
    figure, kind = ("mase", -1.0), "regressor"

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[Chosen]) -> None: ...
        def fit(  # type: ignore[override]  # noqa: D102
            self,
            data: Any,
            y: Any = None,
            *,
            valid: Any = None,
            out: "str | Path | None" = None,
            fresh: bool = False,
            callbacks: "Sequence[object]" = (),
            progress: bool | None = None,
            warm_start: "bool | str | Path | None" = None,
            **settings: Unpack[Trained],
        ) -> Self: ...

    @overload
    def predict(self, inputs: Any) -> Any: ...
    @overload
    def predict(self, inputs: Any, **options: Any) -> Answers[Forecast]: ...
    def predict(self, inputs: Any, **options: Any) -> Any:
        """Forecast what follows each series.

        Of a model that `fit(X, y)` trained on rows, the mean of what follows each row, as `y` was
        given: (N,) or (N, horizon); with options the whole `Forecast` of each.

        A series has the same draws in any company, and all series of a call have them from the same
        random numbers: for independent ones give each call another seed.

        Args:
            inputs: the series up to now, in the forms that `fit` takes; known covariates must reach
                over the horizon.
            **options: fields of `ForecasterOptions`, by name: `levels=[0.1, 0.5, 0.9]` of the
                quantiles, by default those trained, or those of
                `recurra.tasks.forecaster.outcome.LEVELS`; `samples=100` draws; `times="iso"`, how
                `Forecast.stamps` are written.

        Raises:
            InputError: series that do not fit the model, or levels that it does not know.
        """
        wanted = self._options(ForecasterOptions, options)
        if self._rows is None:
            return self._predict(self._read(inputs, skip_bad=wanted.skip_bad), wanted)
        if self._table is not None:
            self._table.check(inputs, type(self).__name__)
        found = self._predict(panel(numbers(inputs, "X")), wanted)
        if options:
            return Answers(replace(one, name=f"{NAME} {k}") for k, one in enumerate(found))
        means = np.stack([one.mean[:, 0] for one in found])
        return means[:, 0] if self._rows["single"] else means

    @classmethod
    def _joined(cls, X: Any, y: Any) -> Rows:
        return Rows.of(X, y)

    def _suited(self, source: Any, data: Any, train: "TrainConfig") -> "tuple[Any, TrainConfig]":
        if isinstance(source, Rows):
            self._config = source.suited(self._config, tuple(self._given))
            return source, train
        panel = data.read(source)
        if self._files is None:
            self._config = suited(self._config, panel, data)
        return panel, long_enough(train, self._config, panel, data)

    def score(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:
        """R² of what followed the rows of `X`; or without `y` minus the MASE of `evaluate(X)`.

        Args:
            X, y: as for `fit`.
            sample_weight: weights of the rows, (N,).

        Raises:
            InputError: data that do not fit the model.
        """
        if y is None:
            return super().score(X, sample_weight=sample_weight)
        if self._rows is None:
            raise InputError("score: this forecaster was trained on series: give series, without y")
        rows = Rows.of(X, y)
        return r_squared(rows.after, self.predict(X), weights_of(sample_weight, len(rows)))

    @property
    def _features(self) -> int | None:
        return None if self._files is None or self._rows is None else self.config.context

    @property
    def _rows(self) -> dict[str, Any] | None:
        """What `fit(X, y)` said of its rows; None of a model of series."""
        rows = self.files.config.get("rows")
        if rows is not None and not (isinstance(rows, dict) and type(rows.get("single")) is bool):
            raise FormatError(
                f'{self.files.path}: config.json, "rows": expected an object with "single", true '
                f"or false, found {brief(rows)}: restore the file from a copy"
            )
        return rows

    def _predict(self, panel: Panel, options: ForecasterOptions) -> Answers[Forecast]:
        levels, samples, seed = levels_of(options.levels), options.samples, options.seed
        ahead = self.config.horizon
        tracks = self._scaler.tracks(panel, ahead=ahead)
        rows = np.array([[index, len(one)] for index, one in enumerate(panel.series)])
        source = self._source(tracks)
        found: Answers[Forecast] = Answers()
        writer = presented(panel.writer, options.times)
        for first in range(0, len(rows), ROWS):
            some = rows[first : first + ROWS]
            rng = Draws(seed, len(some))
            part = self._forecasts(tracks, source, some, rng, levels, samples)
            if part.samples is not None:  # of paths there are more than were asked for
                part = replace(part, samples=part.samples[:samples] if samples else None)
            series = panel.series[first : first + ROWS]
            after = [panel.times(one, len(one) + ahead)[len(one) :] for one in series]
            found += each(part, [one.name for one in series], panel.columns, after, writer)
        return found

    def predict_file(
        self, source: str, options: ForecasterOptions
    ) -> Iterator[Forecast | Unanswered]:
        """Forecasts of the series of a file, or of a table on standard input ("-"). Rows that are
        left out come as `Unanswered`."""
        panel = self._read(source, skip_bad=options.skip_bad)
        yield from self._predict(panel, options)
        for reason in panel.skipped:
            yield Unanswered(reason, line=False)

    def evaluate(self, data: Any, **options: "Unpack[Measured]") -> ForecasterScores:
        """Forecast the end of each series from what came before, from one or many origins.

        Args:
            data: series, in the forms that `fit` takes.
            **options: by name: `truth`, what followed `data`, likewise; `steps`, how many last
                values are forecast.

        Raises:
            InputError: series that do not fit the model, or are too short.
        """
        wanted = self._options(ForecasterMeasurement, options)
        skip_bad, truth, steps, stride = wanted.skip_bad, wanted.truth, wanted.steps, wanted.stride
        panel = self._read(data, skip_bad=skip_bad)
        if truth is not None:
            panel = panel.followed_by(self._read(truth, skip_bad=skip_bad))
        steps = self.config.horizon if steps is None else steps
        known = [max(len(one) - steps, 1) for one in panel.series]
        tracks = self._scaler.tracks(panel, lengths=known)
        source, rng = self._source(tracks), np.random.default_rng(wanted.seed)
        return backtest(
            panel,
            lambda rows: self._forecasts(tracks, source, rows, rng, None, 0),
            horizon=self.config.horizon,
            steps=steps,
            stride=stride,
            season=self.config.season or panel.step.season,
            deviations=[track.deviation for track in tracks],
        )

    def stream(self, data: Any, *, seed: int = 0) -> ForecastStream:
        """Read one series, then take its next values as they come: `open_stream`."""
        return self.open_stream(data, seed=seed)

    def open_stream(
        self,
        data: Any = None,
        *,
        state: StreamState | None = None,
        seed: int = 0,
        levels: Any = None,
    ) -> ForecastStream:
        """Read one series, then take its next values as they come: see `ForecastStream`.

        Args:
            data: the series up to now, in the forms that `fit` takes; or
            state: where to begin: the `state` of such a stream, with its seed and levels.
            seed: of what is drawn.
            levels: of the quantiles, as for `predict`.

        Raises:
            InputError: several series, or one that does not fit the model; a model that measures
                windows from their last value, which moves on; a state of another model.
            FormatError: a damaged state.
        """
        reader = self._streaming
        if (data is None) == (state is None):
            given = "neither" if data is None else "both"
            raise InputError(
                f"open_stream: expected either the series up to now or a state, received {given}"
            )
        if state is None:
            place = reader.begin(self._read(data), seed=seed, levels=levels_of(levels))
            return ForecastStream(reader, place)
        if seed or levels is not None:
            raise InputError("open_stream: seed and levels are those of the state: leave them out")
        place, ended = restored(reader, state)
        stream = ForecastStream(reader, place)
        stream._move(place, ended=ended)
        return stream

    @cached_property
    def _streaming(self) -> ForecastReader:
        return ForecastReader(
            self.config, self.runtime, self._scaler, self._identity, self._distribution
        )

    @derived
    def runtime(self) -> RuntimeForecaster:
        """The network, without torch.

        Raises:
            FormatError: the parts of the model's configuration do not belong together.
        """
        config, scaler = self.files.config, self._scaler
        shape = ForecastShape.from_json(config.get("shape"))
        scaler.check(self.config)
        _ = self._series, self._rows
        wanted = self.config.shape(
            channels=len(scaler.columns), known=scaler.known_size, static=scaler.static_size
        )
        for name, value in shape.to_json().items():
            if value != wanted.to_json()[name]:
                raise FormatError(
                    f'{self.files.path}: config.json, "shape": {name}: expected '
                    f"{wanted.to_json()[name]}, as the settings have it, received {value}: "
                    "restore the file from a copy"
                )
        return RuntimeForecaster(
            Architecture.from_json(config.get("architecture")),
            shape,
            self.files.tensors,
            precision=self._precision,
        )

    @derived
    def _series(self) -> SeriesSettings:
        try:
            return SeriesSettings.from_json(self.files.config.get("series"))
        except InputError as error:
            raise FormatError(
                f'{self.files.path}: config.json, "series": {error}: restore the file from a copy'
            ) from error

    @derived
    def _scaler(self) -> Scaler:
        return Scaler.from_json(self.files.config.get("scaler"))

    def _read(self, data: Any, *, skip_bad: bool = False) -> Panel:
        # Models of before there was this setting count days in UTC, and write times as they did.
        before = "dates" not in self.files.config.get("series", {})
        how = replace(self._series, skip_bad=self._series.skip_bad or skip_bad)
        panel = how.read(data, like=self._scaler.step, utc=before)
        return replace(panel, writer=None) if before else panel

    def _source(self, tracks: list[Track]) -> WindowSource:
        return WindowSource(tracks, self.runtime.shape, self.config.normalise)

    @derived
    def _distribution(self) -> PointForecast:
        width = width_of(self.files.config, self.files.path)
        return described(self.config.output, self.config.quantiles, width=width)

    def _forecasts(
        self,
        tracks: list[Track],
        source: WindowSource,
        rows: np.ndarray,
        rng: Random,
        levels: Sequence[float] | None,
        samples: int,
    ) -> Forecasts:
        """Forecasts of rows (track, origin)."""
        model, distribution = self.runtime, self._distribution
        horizon, windows = model.shape.horizon, source.cut(rows)
        context = windows.values[:, :, : model.shape.context]
        units = self._scaler.units([tracks[t] for t in rows[:, 0]], windows.shift, windows.size)
        if model.shape.direct:
            numbers = model.direct(context, windows.known, windows.static)[..., :horizon, :]
            return from_numbers(distribution, numbers, units, levels, samples=samples, rng=rng)
        paths = sample_paths(
            model,
            distribution,
            context,
            windows.known,
            windows.static,
            paths=max(PATHS, samples),
            rng=rng,
        )
        return from_paths(paths[..., :horizon], units, levels)
