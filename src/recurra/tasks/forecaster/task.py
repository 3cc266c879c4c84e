"""`Forecaster`: train it, let it forecast, test it on the past. Only training needs torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import listed, shown
from recurra.runtime import Architecture
from recurra.settings import Settings, option
from recurra.tasks.answers import Unanswered
from recurra.tasks.base import TrainedModel
from recurra.tasks.forecaster.described import described
from recurra.tasks.forecaster.draws import Draws, Random
from recurra.tasks.forecaster.forecast import Forecast, Forecasts, each, presented
from recurra.tasks.forecaster.outcome import PATHS, from_numbers, from_paths
from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.paths import sample_paths
from recurra.tasks.forecaster.runtime import ForecastShape, RuntimeForecaster
from recurra.tasks.forecaster.scaling import Scaler, Track
from recurra.tasks.forecaster.scores import ROWS, ForecastScores, backtest
from recurra.tasks.forecaster.settings import ForecastDataConfig, ForecasterConfig, SeriesConfig
from recurra.tasks.forecaster.stream import ForecastStream
from recurra.tasks.forecaster.windows import WindowSource

if TYPE_CHECKING:
    from recurra.train import Callback, FitResult


@dataclass(frozen=True, kw_only=True)
class ForecastPrediction(Settings):
    """Options of `recurra predict` for forecasters."""

    levels: str | None = option(None, "quantiles to give, with commas: 0.1,0.5,0.9", text=True)
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
class ForecastMeasurement(Settings):
    """Options of `recurra evaluate` for forecasters: see `Forecaster.evaluate`."""

    truth: str | None = option(
        None, "file of what followed; by default the end of FILE itself", text=True
    )
    steps: int | None = option(
        None, "last values that are forecast: by default a horizon, once", least=1, whole=True
    )
    stride: int = option(1, "steps from one forecast of them to the next", least=1, whole=True)
    seed: int = option(0, "seed of what is drawn", least=0, whole=True)
    skip_bad: bool = option(False, "leave out rows that cannot be read, and report them")


class Forecaster(TrainedModel):
    """A recurrent forecaster of one series or many, under one set of weights.

    The arguments are the fields of `ForecasterConfig`, by name:
    `Forecaster(horizon=48, lookback=336, segment=24, output="student_t")`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "forecaster"
    title = "forecaster"
    Config = ForecasterConfig
    Data = ForecastDataConfig
    Prediction = ForecastPrediction
    Measurement = ForecastMeasurement

    def fit(
        self,
        data: Any,
        *,
        valid: Any = None,
        out: str | Path | None = None,
        fresh: bool = False,
        callbacks: "Sequence[Callback]" = (),
        progress: bool = True,
        **settings: Any,
    ) -> "FitResult":
        """Train on series; afterwards this is the model with the best validation.

        A model that is trained already goes on from its weights. Scales are learnt from the values
        before the validation alone.

        Args:
            data: a CSV, TSV or Parquet file, a `Panel`, or arrays as `Panel.of` takes them.
            valid: the values that follow those of `data`, series by series; by default the last
                `valid_steps` of `data` itself.
            out: directory of the run; the same call again resumes it. By default a temporary one.
            fresh: start over where `out` holds a run.
            callbacks: told of every step and validation.
            progress: show a progress bar, or lines where the output is no terminal.
            **settings: fields of `ForecastDataConfig` and of `recurra.train.TrainConfig`, by name:
                `minutes=3`, `hold_out=48`, `batch=64`.

        Raises:
            InputError: settings or series that cannot be used; nothing was changed.
            DivergedError: training did not stay finite; `out` keeps the last good checkpoint.
            Interrupted: Ctrl-C; `out` has a checkpoint to go on from.
        """
        return self._train(
            data,
            valid=valid,
            out=out,
            fresh=fresh,
            callbacks=callbacks,
            progress=progress,
            settings=settings,
        )

    def predict(
        self,
        data: Any,
        *,
        levels: Sequence[float] | None = None,
        samples: int = 0,
        seed: int = 0,
        times: str | None = None,
    ) -> list[Forecast]:
        """Forecast what follows each series.

        Args:
            data: the series up to now, in the forms that `fit` takes; known covariates must reach
                over the horizon.
            levels: of the quantiles; by default those trained, or those of
                `recurra.tasks.forecaster.outcome.LEVELS`.
            samples: how many draws to give.
            seed: of the draws, and of the paths of an autoregressive forecaster. A series has the
                same draws in any company, and all series of a call have them from the same random
                numbers: for independent ones give each call another seed.
            times: how `Forecast.stamps` are written, `file` or `iso`; by default as in the file,
                but for dates whose day and month could be confused.

        Raises:
            InputError: series that do not fit the model, or levels that it does not know.
        """
        ForecastPrediction(samples=samples, seed=seed, times=times).validate()
        levels = _levels(levels)
        panel = self._read(data)
        ahead = self.config.horizon
        tracks = self._scaler.tracks(panel, ahead=ahead)
        rows = np.array([[index, len(one)] for index, one in enumerate(panel.series)])
        source = self._source(tracks)
        found: list[Forecast] = []
        writer = presented(panel.writer, times)
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
        self, source: str, options: ForecastPrediction
    ) -> Iterator[Forecast | Unanswered]:
        """Forecasts of the series of a file, or of a table on standard input ("-"). Rows that are
        left out come as `Unanswered`."""
        try:
            levels = [float(q) for q in options.levels.split(",")] if options.levels else None
        except ValueError as error:
            raise InputError(
                "levels: expected numbers separated by commas, as 0.1,0.5,0.9, received "
                f"{options.levels!r}"
            ) from error
        panel = self._read(source, skip_bad=options.skip_bad)
        yield from self.predict(
            panel,
            levels=levels,
            samples=options.samples,
            seed=options.seed,
            times=options.times,
        )
        for reason in panel.skipped:
            yield Unanswered(reason, line=False)

    def evaluate(
        self,
        data: Any,
        *,
        truth: Any = None,
        steps: int | None = None,
        stride: int = 1,
        seed: int = 0,
        skip_bad: bool = False,
    ) -> ForecastScores:
        """Forecast the end of each series from what came before, from one or many origins.

        Args:
            data: series, in the forms that `fit` takes.
            truth: what followed `data`; by default the last `steps` of `data` itself.
            steps: how many last values are forecast; by default a horizon, from one origin.
            stride: steps from origin to origin.
            seed: of the paths of an autoregressive forecaster.
            skip_bad: leave out rows that cannot be read.

        Raises:
            InputError: series that do not fit the model, or are too short.
        """
        ForecastMeasurement(steps=steps, stride=stride, seed=seed).validate()
        panel = self._read(data, skip_bad=skip_bad)
        if truth is not None:
            panel = panel.followed_by(self._read(truth, skip_bad=skip_bad))
        steps = self.config.horizon if steps is None else steps
        known = [max(len(one) - steps, 1) for one in panel.series]
        tracks = self._scaler.tracks(panel, lengths=known)
        source, rng = self._source(tracks), np.random.default_rng(seed)
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
        """Read one series, then take its next values as they come: see `ForecastStream`.

        Raises:
            InputError: several series, or one that does not fit the model; a model that measures
                windows from their last value, which moves on.
        """
        if self.config.mode == "direct" and self.config.normalise == "last":
            raise InputError(
                "stream: a direct forecaster with normalise last reads every window from its own "
                "last value, and carries no state: train one with normalise none, mean or standard"
            )
        panel = self._read(data)
        if len(panel) != 1:
            raise InputError(f"stream: expected one series, received {len(panel)}")
        return ForecastStream(self.config, self.runtime, self._scaler, panel, seed)

    @cached_property
    def runtime(self) -> RuntimeForecaster:
        """The network, without torch.

        Raises:
            FormatError: the parts of the model's configuration do not belong together.
        """
        config, scaler = self.files.config, self._scaler
        shape = ForecastShape.from_json(config.get("shape"))
        scaler.check(self.config)
        _ = self._series
        wanted = self.config.shape(
            channels=len(scaler.columns), known=scaler.known_size, static=scaler.static_size
        )
        for name, value in shape.to_json().items():
            if value != wanted.to_json()[name]:
                raise FormatError(
                    f'{self.files.path}: config.json, "shape": {name}: expected '
                    f"{wanted.to_json()[name]}, as the settings have it, received {value}"
                )
        return RuntimeForecaster(
            Architecture.from_json(config.get("architecture")),
            shape,
            self.files.tensors,
            precision=self._precision,
        )

    @cached_property
    def _series(self) -> SeriesConfig:
        try:
            return SeriesConfig.from_json(self.files.config.get("series"))
        except InputError as error:
            raise FormatError(f'{self.files.path}: config.json, "series": {error}') from error

    @cached_property
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
        model, config = self.runtime, self.config
        distribution = described(config.output, config.quantiles)
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


def _levels(levels: Any) -> tuple[float, ...] | None:
    """Levels of quantiles that were asked for; InputError where they are none."""
    if levels is None:
        return None
    found = listed(levels, "levels", "a list of numbers between 0 and 1")
    for level in found:
        right = isinstance(level, int | float | np.number) and not isinstance(level, bool)
        if not right or not 0 < level < 1:
            raise InputError(f"levels: expected numbers between 0 and 1, received {shown(level)}")
    return tuple(map(float, found)) or None
