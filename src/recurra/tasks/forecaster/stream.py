"""Forecasts of one series as its values come: the state is carried, nothing is read twice."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import plain, shown
from recurra.runtime.states import States, join, select
from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Identity, Reader, Stream
from recurra.tasks.forecaster.described import PointForecast
from recurra.tasks.forecaster.draws import Draws
from recurra.tasks.forecaster.forecast import Forecast, Forecasts, each, presented
from recurra.tasks.forecaster.outcome import PATHS, Units, from_numbers, from_paths
from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.paths import draw_on, read_context
from recurra.tasks.forecaster.runtime import RuntimeForecaster, RuntimeMember
from recurra.tasks.forecaster.scaling import Scaler
from recurra.tasks.forecaster.settings import ForecasterSettings
from recurra.tasks.forecaster.stream_place import (
    Measure,
    Observed,
    SeriesPlace,
    generator_of,
    pack_place,
    unpack_place,
)
from recurra.tasks.forecaster.windows import WindowSource

#: A value, (C,) of them, (T, C), or with covariates `Observed`.
Frame = Any


class ForecastStream(Stream[SeriesPlace, Frame, Forecast, Forecast]):
    """One series whose values come one by one.

    The first forecast is that of `Forecaster.predict`. Later ones go on from the recurrent state:
    the context grows instead of moving on, and all stays measured as the first window was, so they
    differ a little from what `predict` would say. A value costs one step of the layers once its
    segment is whole; forecasts begin after the last whole segment, and what of them is past already
    is left out.

    `push` takes values (C,), or (T, C) of several steps, NaN where missing, and forecasts; `append`
    takes a step alone. Covariates come as `push(Observed(values, known=…, ahead=…))`.
    """

    _reader: "ForecastReader"

    def append(self, values: Any, known: Any = ()) -> None:
        """Take the next values, without a forecast.

        Args:
            values: (C,), or a number where there is one column; NaN where missing.
            known: (K,), the known covariates of that time.

        Raises:
            InputError: other columns or covariates than the series has; the stream stays as it was.
        """
        self._check_open("append")
        row = self._reader.step_of(values, known)
        self._move(self._reader.appended([self.place], [[row]])[0])

    def forecast(self, known: Any = None, *, levels: tuple[float, ...] | None = None) -> Forecast:
        """Forecast the steps after the last value, a horizon from the last whole segment.

        Args:
            known: (h, K), the known covariates of those steps.
            levels: of the quantiles.
        """
        place = self.place
        asked = place if levels is None else replace(place, levels=tuple(levels))
        ((after, found),) = self._reader.forecasts([asked], [known])
        self._move(replace(after, levels=place.levels), ended=self.ended)
        return found


class ForecastReader(Reader[SeriesPlace, Frame, Forecast, Forecast]):
    """Reads with a forecaster that carries its state.

    Raises:
        InputError: a model that measures windows from their last value, which moves on.
    """

    kind = "forecaster"

    def __init__(
        self,
        config: ForecasterSettings,
        model: RuntimeForecaster,
        scaler: Scaler,
        identity: Identity,
        distribution: PointForecast,
    ) -> None:
        super().__init__(identity)
        if config.mode == "direct" and config.normalise == "last":
            raise InputError(
                "stream: a direct forecaster with normalise last reads every window from its own "
                "last value, and carries no state: train one with normalise none, mean or standard"
            )
        self._config, self._model, self._scaler, self._shape = config, model, scaler, model.shape
        self._distribution = distribution

    def begin(
        self, panel: Panel, *, seed: int, levels: tuple[float, ...] | None = None
    ) -> SeriesPlace:
        """The place after a series."""
        if len(panel) != 1:
            raise InputError(f"stream: expected one series, received {len(panel)}")
        one, s = panel.series[0], self._shape
        (track,) = self._scaler.tracks(panel)
        windows = WindowSource([track], s, self._config.normalise).cut(np.array([[0, len(one)]]))
        values, known = windows.values[:, :, : s.context], windows.known[:, : s.context]
        measure = Measure(
            name=one.name,
            start=one.start,
            step=panel.step,
            writer=presented(panel.writer),
            static=windows.static,
            track_shift=track.shift,
            track_size=track.size,
            shift=windows.shift,
            size=windows.size,
        )
        states: list[States | None] = []
        for m in self._model.members:
            if s.direct:
                rows, static = m.rows(values), m.repeated(windows.static)
                states.append(m.read(rows, m.repeated(known), static, None))
            else:
                states.append(read_context(m, values, known, windows.static))
        random = np.random.default_rng(seed).bit_generator.state
        return SeriesPlace(measure, len(one), values, (), tuple(states), dict(random), levels)

    def advance(
        self, places: Sequence[SeriesPlace], frames: Sequence[Frame]
    ) -> list[tuple[SeriesPlace, Forecast]]:
        """See `Reader.advance`."""
        taken = [self._rows(frame) for frame in frames]
        read = self.appended(places, [rows for rows, _ in taken])
        return self.forecasts(read, [ahead for _, ahead in taken])

    def end(self, place: SeriesPlace) -> tuple[SeriesPlace, Forecast]:
        """See `Reader.end`."""
        ((place, found),) = self.forecasts([place], [None])
        return place, found

    def step_of(self, values: Any, known: Any) -> tuple[np.ndarray, np.ndarray]:
        """Values (C,) and known covariates (K,) of one step; InputError for others."""
        columns, wanted = len(self._scaler.columns), len(self._scaler.known_columns)
        try:
            row, beside = (np.atleast_1d(np.asarray(plain(x), np.float64)) for x in (values, known))
        except (TypeError, ValueError):
            raise InputError(
                f"append: expected numbers, received {shown(values)} and {shown(known)}"
            ) from None
        if row.shape != (columns,) or beside.shape != (wanted,):
            raise InputError(
                f"append: expected {columns} values and {wanted} known covariates, "
                f"received {row.shape} and {beside.shape}"
            )
        if np.isinf(row).any() or not np.isfinite(beside).all():
            raise InputError(
                "append: expected finite numbers, NaN where a value is missing, received infinity"
            )
        return row, beside

    def appended(
        self,
        places: Sequence[SeriesPlace],
        steps: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]],
    ) -> list[SeriesPlace]:
        """The places after some steps of each, those at the same place of a segment together."""
        found = list(places)
        for turn in range(max(map(len, steps), default=0)):
            going = [k for k, rows in enumerate(steps) if turn < len(rows)]
            for k in going:
                found[k] = self._waiting(found[k], *steps[k][turn])
            whole = [k for k in going if len(found[k].pending) == self._shape.segment]
            if whole:
                for k, place in zip(whole, self._read([found[k] for k in whole]), strict=True):
                    found[k] = place
        return found

    def forecasts(
        self, places: Sequence[SeriesPlace], ahead: Sequence[Any]
    ) -> list[tuple[SeriesPlace, Forecast]]:
        """A forecast from each place, given the known covariates (h, K) of the steps ahead."""
        coming = [self._ahead(*pair) for pair in zip(places, ahead, strict=True)]
        alike: dict[Any, list[int]] = {}
        for k, place in enumerate(places):
            alike.setdefault((len(place.pending), place.levels), []).append(k)
        found: dict[int, tuple[SeriesPlace, Forecast]] = {}
        for (waiting, levels), group in alike.items():
            some = [places[k] for k in group]
            told, random = self._forecast(some, np.stack([coming[k] for k in group]), levels)
            for n, k in enumerate(group):
                at, count = places[k].measure, self._shape.horizon - waiting
                times = at.times(places[k].count, count)
                (one,) = each(_only(told, n), [at.name], self._scaler.columns, [times], at.writer)
                found[k] = replace(places[k], random=random[n]), one
        return [found[k] for k in range(len(places))]

    def _forecast(
        self, places: Sequence[SeriesPlace], ahead: np.ndarray, levels: Sequence[float] | None
    ) -> tuple[Forecasts, list[dict[str, Any]]]:
        """Forecasts from places that wait for as many values, and their generators after them."""
        s, waiting = self._shape, len(places[0].pending)
        values = np.concatenate([place.values for place in places])
        static = np.concatenate([place.measure.static for place in places])
        units = self._units(places)
        generators = [generator_of(place.random) for place in places]
        if s.direct:
            numbers = np.stack(
                [
                    m.decode(values, m.repeated(ahead), m.repeated(static), states)
                    for m, states in self._joined(places)
                ]
            )[..., waiting : s.horizon, :]
            rng = Draws.of(generators)
            told = from_numbers(self._distribution, numbers, units, levels, samples=0, rng=rng)
        else:
            # The steps before the horizon are not read any more: their place is kept.
            known = np.pad(ahead, ((0, 0), (s.context, 0), (0, 0)))
            members = len(self._model.members)
            paths = [
                draw_on(
                    m,
                    self._distribution,
                    values,
                    known,
                    static,
                    states,
                    paths=len(range(index, PATHS, members)),
                    rng=Draws.of(generators),
                )
                for index, (m, states) in enumerate(self._joined(places))
            ]
            told = from_paths(np.concatenate(paths)[..., waiting : s.horizon], units, levels)
        return told, [dict(generator.bit_generator.state) for generator in generators]

    def _joined(self, places: Sequence[SeriesPlace]) -> list[tuple[RuntimeMember, Any]]:
        """Each member with its states of all places; None where they have read nothing."""
        found: list[tuple[RuntimeMember, Any]] = []
        for index, m in enumerate(self._model.members):
            some = [place.states[index] for place in places]
            there = [states for states in some if states is not None]
            found.append((m, join(there) if len(there) == len(some) else None))
        return found

    def _read(self, places: Sequence[SeriesPlace]) -> list[SeriesPlace]:
        """Read the segments that are whole."""
        s = self._shape
        segment = np.stack(
            [np.stack([values for values, _ in place.pending], axis=1) for place in places]
        )
        known = np.stack([np.stack([numbers for _, numbers in place.pending]) for place in places])
        static = np.concatenate([place.measure.static for place in places])
        path = np.concatenate([np.concatenate([place.values for place in places]), segment], axis=2)
        end, parts = path.shape[2], []
        for m, states in self._joined(places):
            rows, beside, fixed = m.rows(path), m.repeated(known), m.repeated(static)
            if s.direct:
                read = m.read(rows[:, end - s.segment :], beside, fixed, states)
            else:
                before = rows[:, end - 2 * s.segment : end - s.segment]
                lagged = [rows[:, end - s.segment - lag : end - lag] for lag in s.lags]
                _, read = m.step(before, lagged, beside, fixed, states)
            parts.append(read)
        size = len(parts[0][0][0]) // len(places)
        made = []
        for n, place in enumerate(places):
            own = np.arange(n * size, (n + 1) * size)
            states = tuple(select(read, own) for read in parts)
            made.append(
                replace(place, values=path[n : n + 1, :, s.segment :], pending=(), states=states)
            )
        return made

    def _waiting(self, place: SeriesPlace, row: np.ndarray, beside: np.ndarray) -> SeriesPlace:
        """The place with a value more, which waits for its segment."""
        at = place.measure
        before = place.pending[-1][0] if place.pending else place.values[0, :, -1]
        given = (self._scaler.forth(row) - at.track_shift) / at.track_size
        normal = (given - at.shift[0]) / at.size[0]
        normal = np.where(np.isnan(normal), before, normal).astype(np.float32)
        numbers = self._scaler.known_numbers(beside[None], at.times(place.count, 1))[0]
        pending = (*place.pending, (normal, numbers))
        return replace(place, pending=pending, count=place.count + 1)

    def _ahead(self, place: SeriesPlace, known: Any) -> np.ndarray:
        """What is known of the steps from the last whole segment on, (W, K')."""
        s, waiting = self._shape, len(place.pending)
        count, wanted = s.horizon - waiting, len(self._scaler.known_columns)
        beside = np.zeros((count, 0)) if known is None else np.asarray(known, np.float64)[:count]
        if beside.shape != (count, wanted):
            raise InputError(
                f"forecast: expected known covariates ({count}, {wanted}), received {beside.shape}"
            )
        times = place.measure.times(place.count, count)
        coming = self._scaler.known_numbers(beside, times)
        rows = np.concatenate([*(numbers[None] for _, numbers in place.pending), coming])
        return np.pad(rows, ((0, s.steps_ahead - s.horizon), (0, 0)), mode="edge")

    def _units(self, places: Sequence[SeriesPlace]) -> Units:
        measures = [place.measure for place in places]
        sizes = np.stack([at.track_size for at in measures])
        shifts = np.stack([at.track_shift for at in measures])
        size, shift = (
            np.concatenate([getattr(at, name) for at in measures]) for name in ("size", "shift")
        )
        return self._scaler.units_of(sizes, shifts, shift, size)

    def _rows(self, frame: Frame) -> tuple[list[tuple[np.ndarray, np.ndarray]], Any]:
        """The steps of a frame, and what is known of those ahead."""
        seen = frame if isinstance(frame, Observed) else Observed(frame)
        values, known = plain(seen.values), plain(seen.known)
        columns = len(self._scaler.columns)
        if np.ndim(values) == 0 or (np.ndim(values) == 1 and columns > 1):
            return [self.step_of(values, known)], seen.ahead
        rows = list(values)
        beside = list(known) if len(known) or not self._scaler.known_columns else []
        if not self._scaler.known_columns:
            beside = [()] * len(rows)
        if len(beside) != len(rows):
            raise InputError(
                f"push: expected known covariates of {len(rows)} steps, received {shown(known)}"
            )
        return [self.step_of(*pair) for pair in zip(rows, beside, strict=True)], seen.ahead

    def pack(self, place: SeriesPlace) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `Reader.pack`."""
        return pack_place(place, self._scaler)

    def unpack(self, saved: Saved) -> SeriesPlace:
        """See `Reader.unpack`."""
        return unpack_place(saved, self._model, self._scaler)


def _only(found: Forecasts, n: int) -> Forecasts:
    """The forecast of the n-th window."""
    return replace(
        found,
        mean=found.mean[n : n + 1],
        median=found.median[n : n + 1],
        quantiles=None if found.quantiles is None else found.quantiles[n : n + 1],
        samples=None if found.samples is None else found.samples[:, n : n + 1],
        student=None,
    )
