"""`Forecaster`: train it, let it forecast, test it on the past. Only training needs torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import listed, shown
from recurra.runtime import Architecture
from recurra.runtime.stream_state import StreamState
from recurra.runtime.streams import restored
from recurra.settings import Settings, option
from recurra.tasks.answers import Unanswered
from recurra.tasks.forecaster.described import described
from recurra.tasks.forecaster.draws import Draws, Random
from recurra.tasks.forecaster.forecast import Forecast, Forecasts, each, presented
from recurra.tasks.forecaster.outcome import PATHS, from_numbers, from_paths
from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.paths import sample_paths
from recurra.tasks.forecaster.runtime import ForecastShape, RuntimeForecaster
from recurra.tasks.forecaster.scaling import Scaler, Track
from recurra.tasks.forecaster.scores import ROWS, ForecasterScores, backtest
from recurra.tasks.forecaster.settings import ForecasterData, ForecasterSettings, SeriesSettings
from recurra.tasks.forecaster.stream import ForecastReader, ForecastStream
from recurra.tasks.forecaster.windows import WindowSource
from recurra.tasks.protocol import Fitting, Task

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Unpack

    from recurra.tasks.forecaster.options import Chosen, Measured, Trained
    from recurra.train import Callback, FitResult

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

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[Chosen]) -> None: ...
        def fit(  # type: ignore[override]  # noqa: D102
            self,
            data: Any,
            *,
            valid: Any = None,
            out: "str | Path | None" = None,
            fresh: bool = False,
            callbacks: "Sequence[Callback]" = (),
            progress: bool = True,
            **settings: Unpack[Trained],
        ) -> FitResult: ...

    def predict(self, inputs: Any, **options: Any) -> list[Forecast]:
        """Forecast what follows each series.

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
        return self._predict(self._read(inputs, skip_bad=wanted.skip_bad), wanted)

    def _predict(self, panel: Panel, options: ForecasterOptions) -> list[Forecast]:
        levels, samples, seed = _levels(options.levels), options.samples, options.seed
        ahead = self.config.horizon
        tracks = self._scaler.tracks(panel, ahead=ahead)
        rows = np.array([[index, len(one)] for index, one in enumerate(panel.series)])
        source = self._source(tracks)
        found: list[Forecast] = []
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
            place = reader.begin(self._read(data), seed=seed, levels=_levels(levels))
            return ForecastStream(reader, place)
        if seed or levels is not None:
            raise InputError("open_stream: seed and levels are those of the state: leave them out")
        place, ended = restored(reader, state)
        stream = ForecastStream(reader, place)
        stream._move(place, ended=ended)
        return stream

    @cached_property
    def _streaming(self) -> ForecastReader:
        return ForecastReader(self.config, self.runtime, self._scaler, self._identity)

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
                    f"{wanted.to_json()[name]}, as the settings have it, received {value}: "
                    "restore the file from a copy"
                )
        return RuntimeForecaster(
            Architecture.from_json(config.get("architecture")),
            shape,
            self.files.tensors,
            precision=self._precision,
        )

    @cached_property
    def _series(self) -> SeriesSettings:
        try:
            return SeriesSettings.from_json(self.files.config.get("series"))
        except InputError as error:
            raise FormatError(
                f'{self.files.path}: config.json, "series": {error}: restore the file from a copy'
            ) from error

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
    """Levels of quantiles, as numbers or a text of them; InputError where they are none."""
    if levels is None:
        return None
    if isinstance(levels, str):
        try:
            levels = [float(q) for q in levels.split(",")]
        except ValueError as error:
            raise InputError(
                f"levels: expected numbers separated by commas, as 0.1,0.5,0.9, received {levels!r}"
            ) from error
    found = listed(levels, "levels", "a list of numbers between 0 and 1")
    for level in found:
        right = isinstance(level, int | float | np.number) and not isinstance(level, bool)
        if not right or not 0 < level < 1:
            raise InputError(f"levels: expected numbers between 0 and 1, received {shown(level)}")
    return tuple(map(float, found)) or None
