"""Forecasts of one series as its values come: the state is carried, nothing is read twice."""

from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.tasks.forecaster.described import described
from recurra.tasks.forecaster.forecast import Forecast, each, presented
from recurra.tasks.forecaster.outcome import PATHS, from_numbers, from_paths
from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.paths import draw_on, read_context
from recurra.tasks.forecaster.runtime import RuntimeForecaster
from recurra.tasks.forecaster.scaling import Scaler
from recurra.tasks.forecaster.settings import ForecasterConfig
from recurra.tasks.forecaster.windows import WindowSource


class ForecastStream:
    """One series whose values come one by one.

    The first forecast is that of `Forecaster.predict`. Later ones go on from the recurrent state:
    the context grows instead of moving on, and all stays measured as the first window was, so they
    differ a little from what `predict` would say. A value costs one step of the layers once its
    segment is whole; forecasts begin after the last whole segment, and what of them is past already
    is left out.
    """

    def __init__(
        self,
        config: ForecasterConfig,
        model: RuntimeForecaster,
        scaler: Scaler,
        panel: Panel,
        seed: int,
    ) -> None:
        self._config, self._model, self._scaler, self._panel = config, model, scaler, panel
        self._shape, self._rng = model.shape, np.random.default_rng(seed)
        one, s = panel.series[0], model.shape
        self._count = len(one)
        (track,) = scaler.tracks(panel)
        windows = WindowSource([track], s, config.normalise).cut(np.array([[0, len(one)]]))
        self._values = windows.values[:, :, : s.context]
        self._static = windows.static
        self._units = scaler.units([track], windows.shift, windows.size)
        self._track, self._shift, self._size = track, windows.shift[0], windows.size[0]
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        known = windows.known[:, : s.context]
        if s.direct:
            self._states: list[Any] = [
                m.read(m.rows(self._values), m.repeated(known), m.repeated(self._static), None)
                for m in model.members
            ]
        else:
            self._states = [
                read_context(m, self._values, known, self._static) for m in model.members
            ]

    def append(self, values: Any, known: Any = ()) -> None:
        """Take the next values.

        Args:
            values: (C,), or a number where there is one column; NaN where missing.
            known: (K,), the known covariates of that time.

        Raises:
            InputError: other columns or covariates than the series has.
        """
        columns, wanted = len(self._panel.columns), len(self._scaler.known_columns)
        row, beside = np.atleast_1d(np.asarray(values, np.float64)), np.atleast_1d(known)
        if row.shape != (columns,) or beside.shape != (wanted,):
            raise InputError(
                f"append: expected {columns} values and {wanted} known covariates, "
                f"received {row.shape} and {beside.shape}"
            )
        before = self._pending[-1][0] if self._pending else self._values[0, :, -1]
        given = (self._scaler.forth(row) - self._track.shift) / self._track.size
        normal = (given - self._shift) / self._size
        normal = np.where(np.isnan(normal), before, normal).astype(np.float32)
        numbers = self._known(beside[None].astype(np.float64), 1)[0]
        self._pending.append((normal, numbers))
        self._count += 1
        if len(self._pending) == self._shape.segment:
            self._advance()

    def forecast(self, known: Any = None, *, levels: tuple[float, ...] | None = None) -> Forecast:
        """Forecast the steps after the last value, a horizon from the last whole segment.

        Args:
            known: (h, K), the known covariates of those steps.
            levels: of the quantiles.
        """
        s, waiting = self._shape, len(self._pending)
        count = s.horizon - waiting
        wanted = len(self._scaler.known_columns)
        beside = np.zeros((count, 0)) if known is None else np.asarray(known, np.float64)[:count]
        if beside.shape != (count, wanted):
            raise InputError(
                f"forecast: expected known covariates ({count}, {wanted}), received {beside.shape}"
            )
        coming = self._known(beside, count)
        ahead = np.concatenate([*(numbers[None] for _, numbers in self._pending), coming])
        ahead = np.pad(ahead, ((0, s.steps_ahead - s.horizon), (0, 0)), mode="edge")[None]
        distribution = described(self._config.output, self._config.quantiles)
        if s.direct:
            numbers = np.stack(
                [
                    m.decode(self._values, m.repeated(ahead), m.repeated(self._static), states)
                    for m, states in zip(self._model.members, self._states, strict=True)
                ]
            )[..., waiting : s.horizon, :]
            found = from_numbers(
                distribution, numbers, self._units, levels, samples=0, rng=self._rng
            )
        else:
            members = self._model.members
            # The steps before the horizon are not read any more: their place is kept.
            known_all = np.pad(ahead, ((0, 0), (s.context, 0), (0, 0)))
            paths = [
                draw_on(
                    m,
                    distribution,
                    self._values,
                    known_all,
                    self._static,
                    states,
                    paths=len(range(index, PATHS, len(members))),
                    rng=self._rng,
                )
                for index, (m, states) in enumerate(zip(members, self._states, strict=True))
            ]
            drawn = np.concatenate(paths)[..., waiting : s.horizon]
            found = from_paths(drawn, self._units, levels)
        one = self._panel.series[0]
        times = self._panel.times(one, self._count + count)[self._count :]
        return each(found, [one.name], self._panel.columns, [times], presented(self._panel.writer))[
            0
        ]

    def _advance(self) -> None:
        """Read the segment that is whole now."""
        s = self._shape
        segment = np.stack([values for values, _ in self._pending], axis=1)[None]
        known = np.stack([numbers for _, numbers in self._pending])[None]
        self._pending = []
        path = np.concatenate([self._values, segment], axis=2)
        end = path.shape[2]
        for index, m in enumerate(self._model.members):
            rows, beside, static = m.rows(path), m.repeated(known), m.repeated(self._static)
            if s.direct:
                read = m.read(rows[:, end - s.segment :], beside, static, self._states[index])
            else:
                before = rows[:, end - 2 * s.segment : end - s.segment]
                lagged = [rows[:, end - s.segment - lag : end - lag] for lag in s.lags]
                _, read = m.step(before, lagged, beside, static, self._states[index])
            self._states[index] = read
        self._values = path[:, :, s.segment :]

    def _known(self, known: np.ndarray, count: int) -> np.ndarray:
        """Known covariates (count, K) of the next steps as the network reads them."""
        one = self._panel.series[0]
        times = self._panel.times(one, self._count + count)[self._count :]
        return self._scaler.known_numbers(known, times)
