"""Backtests: forecasts from many origins, each from what was known there, against what came."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import NOTHING, LeftOut
from recurra.tasks.answers import Figures
from recurra.tasks.figures import plain, shown
from recurra.tasks.forecaster import figures as forecasting
from recurra.tasks.forecaster import student_t
from recurra.tasks.forecaster.forecast import Forecasts
from recurra.tasks.forecaster.panel import Panel

#: Forecasts of rows (track, origin): (N, 2).
Predict = Callable[[np.ndarray], Forecasts]
#: Rows that are forecast at once.
ROWS = 256


@dataclass(frozen=True)
class ForecasterScores(Figures):
    """Figures of a backtest, over all steps, columns and origins; the medians unless it says mean.

    Attributes:
        mae, mse: mean absolute error, and mean squared error of the mean.
        scaled_mae, scaled_mse: the same of values divided by the deviation of their column in
            training (standardised).
        smape: symmetric mean absolute percentage error, 0 to 200.
        mase: mean absolute scaled error, the mean over series (and columns); nan where no seasonal
            error can be had.
        crps: continuous ranked probability score: exact of Student's t and of samples, of quantiles
            twice their mean loss, of points the absolute error.
        coverage: share of truths in the central interval of each probability; empty for points.
        forecasts: how many windows.
        season: of the MASE.
        by_step: mean absolute error of each step ahead.
        left_out: rows of the data that could not be read.
    """

    mae: float
    mse: float
    scaled_mae: float
    scaled_mse: float
    smape: float
    mase: float
    crps: float
    coverage: dict[float, float] = field(default_factory=dict)
    forecasts: int = 0
    season: int = 1
    by_step: tuple[float, ...] = ()
    left_out: LeftOut = NOTHING

    def __str__(self) -> str:
        mase = f"MASE {shown(self.mase, '.3f')} (season {self.season})"
        found = [f"sMAPE {shown(self.smape, '.3f')}", mase]
        found += [f"MAE {shown(self.mae, '.4g')}", f"MSE {shown(self.mse, '.4g')}"]
        both = (self.scaled_mae, self.scaled_mse)
        found += [" ".join(["standardised", *(shown(value, ".4f") for value in both)])]
        found += [f"CRPS {shown(self.crps, '.4g')}"]
        within = self.coverage.items()
        found += [f"{p:.0%} interval holds {shown(share, '.1%')}" for p, share in within]
        return ", ".join([*found, f"{self.forecasts} forecasts"])

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; figures that cannot be had are null."""
        coverage = {f"{p:g}": share for p, share in self.coverage.items()}
        told = {**vars(self), "coverage": coverage, "left_out": self.left_out.to_dict()}
        return dict(plain(told))


def origins(length: int, horizon: int, steps: int, stride: int) -> np.ndarray:
    """Origins at which a series of `length` is forecast so that its last `steps` are met."""
    return np.arange(length - steps, length - horizon + 1, stride)


def backtest(
    panel: Panel,
    predict: Predict,
    *,
    horizon: int,
    steps: int | None,
    stride: int,
    season: int,
    deviations: Sequence[np.ndarray],
) -> ForecasterScores:
    """Score forecasts of the last `steps` of each series, by default of one horizon.

    Args:
        panel: the series whole. Only what comes before an origin may be read by `predict`.
        predict: forecasts rows (track, origin).
        horizon: h.
        steps: how many of the last steps are forecast.
        stride: steps from origin to origin.
        season: of the MASE, whose seasonal error is of the values before the first origin.
        deviations: (C,) of each series, for the standardised errors.

    Raises:
        InputError: a series is too short, or there is no value that a forecast could be held to.
    """
    steps = horizon if steps is None else steps
    if steps < horizon or stride < 1:
        raise InputError(
            f"evaluate: expected at least {horizon} steps (the horizon) and a stride of 1, "
            f"received {steps} and {stride}"
        )
    rows = []
    for index, one in enumerate(panel.series):
        if len(one) <= steps:
            raise InputError(
                f"series {one.name}: expected more than the {steps} steps to forecast, "
                f"received {len(one)}"
            )
        found = origins(len(one), horizon, steps, stride)
        rows.append(np.stack([np.full_like(found, index), found], axis=1))
    seasonal = [
        [forecasting.seasonal_error(column, season) for column in one.values[: len(one) - steps].T]
        for one in panel.series
    ]
    total = _Totals(np.array(seasonal), np.stack(list(deviations)))
    together = np.concatenate(rows)
    truths = (panel.series[t].values[o : o + horizon] for t, o in together)
    if all(np.isnan(truth).all() for truth in truths):
        raise InputError(
            f"evaluate: expected values among the last {steps} steps, to hold forecasts to; all "
            "are missing: forecast more steps (--steps), or give what followed (--truth)"
        )
    for first in range(0, len(together), ROWS):
        part = together[first : first + ROWS]
        truth = np.stack([panel.series[t].values[o : o + horizon] for t, o in part])
        total.add(part[:, 0], predict(part), truth)
    return replace(total.scores(season), left_out=panel.left_out)


class _Totals:
    """Sums over batches of forecasts."""

    def __init__(self, seasonal: np.ndarray, deviations: np.ndarray) -> None:
        self._seasonal, self._deviations = seasonal, deviations
        self._errors: dict[str, list[np.ndarray]] = {}
        self._tracks: list[np.ndarray] = []
        self._levels: tuple[float, ...] = ()

    def add(self, tracks: np.ndarray, found: Forecasts, truth: np.ndarray) -> None:
        deviation = self._deviations[tracks][:, None]
        absolute = np.abs(found.median - truth)
        square = (found.mean - truth) ** 2
        size = np.abs(found.median) + np.abs(truth)
        with np.errstate(invalid="ignore", divide="ignore"):
            percent = np.where(size == 0, 0.0, 200 * absolute / size)
        errors = {
            "mae": absolute,
            "mse": square,
            "scaled_mae": absolute / deviation,
            "scaled_mse": square / deviation**2,
            "smape": percent,
            "crps": _crps(found, truth),
        }
        for p, low, high in _intervals(found):
            inside = (low <= truth) & (truth <= high)
            errors[f"within {p}"] = np.where(np.isnan(truth), np.nan, inside)
        for name, values in errors.items():
            self._errors.setdefault(name, []).append(values.astype(np.float32))
        self._tracks.append(tracks)

    def scores(self, season: int) -> ForecasterScores:
        errors = {name: np.concatenate(parts) for name, parts in self._errors.items()}
        tracks = np.concatenate(self._tracks)
        absolute = errors["mae"]
        sums, counts = np.zeros_like(self._seasonal), np.zeros_like(self._seasonal)
        np.add.at(sums, tracks, np.nansum(absolute, axis=1))
        np.add.at(counts, tracks, (~np.isnan(absolute)).sum(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = sums / counts / self._seasonal
        by_step = tuple(_mean(step) for step in absolute.transpose(1, 0, 2))
        means: dict[str, Any] = {
            name: _mean(values) for name, values in errors.items() if "within" not in name
        }
        return ForecasterScores(
            **means,
            mase=_mean(scaled),
            coverage={
                float(name.split()[1]): _mean(values)
                for name, values in errors.items()
                if "within" in name
            },
            forecasts=len(tracks),
            season=season,
            by_step=by_step,
        )


def _crps(found: Forecasts, truth: np.ndarray) -> np.ndarray:
    """The CRPS of each value (N, h, C)."""
    if found.student is not None:
        location, scale, df = found.student
        return scale * student_t.crps((truth - location) / scale, df)
    if found.samples is not None:
        return forecasting.samples_crps(found.samples, truth)
    if found.quantiles is None:
        return np.abs(found.median - truth)
    return 2 * forecasting.pinball_losses(found.quantiles, truth, found.levels).mean(axis=-1)


def _intervals(found: Forecasts) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Probability, lower and upper bound of each central interval among the levels."""
    if found.quantiles is None:
        return []
    levels = found.levels
    pairs = []
    for k in range(len(levels) // 2):
        if abs(levels[k] + levels[-1 - k] - 1) < 1e-9:
            p = round(levels[-1 - k] - levels[k], 9)
            pairs.append((p, found.quantiles[..., k], found.quantiles[..., -1 - k]))
    return pairs


def _mean(values: np.ndarray) -> float:
    counted = values[~np.isnan(values)]
    return float(counted.mean(dtype=np.float64)) if counted.size else float("nan")
