"""Measures of forecasts: errors of a point, of quantiles, and of samples. NaN truths do not count.

The definitions are those of the M4 competition (Makridakis, Spiliotis & Assimakopoulos 2020) for
sMAPE and MASE, and of Gneiting & Raftery (2007) for the CRPS.
"""

from collections.abc import Sequence

import numpy as np

from recurra.checked import checked
from recurra.errors import InputError

Array = np.ndarray


@checked
def mae(forecast: Array, truth: Array) -> float:
    """Mean absolute error; arrays of one shape."""
    return _mean(np.abs(_difference(forecast, truth)))


@checked
def mse(forecast: Array, truth: Array) -> float:
    """Mean squared error; arrays of one shape."""
    return _mean(_difference(forecast, truth) ** 2)


@checked
def smape(forecast: Array, truth: Array) -> float:
    """Symmetric mean absolute percentage error, 200 |y - f| / (|y| + |f|), from 0 to 200.

    Where both are zero the error is zero.
    """
    error, size = np.abs(_difference(forecast, truth)), np.abs(forecast) + np.abs(truth)
    return _mean(200 * np.divide(error, size, out=np.zeros_like(error), where=size != 0))


@checked
def seasonal_error(history: Array, season: int) -> float:
    """Mean absolute error of the seasonal naive forecast within a history (T,).

    MASE divides by it. NaN where the history is not longer than a season, or repeats exactly.
    """
    history = np.asarray(history, np.float64)
    if season < 1:
        raise InputError(f"season: expected at least 1 step, received {season}")
    if history.ndim != 1:
        raise InputError(f"history: expected one series (T,), received shape {history.shape}")
    gaps = np.abs(history[season:] - history[:-season])
    found = _mean(gaps)
    return found if found > 0 else float("nan")


@checked
def mase(forecast: Array, truth: Array, history: Array, *, season: int = 1) -> float:
    """Mean absolute scaled error (Hyndman & Koehler 2006) of one series.

    Args:
        forecast, truth: (H,).
        history: (T,), what was known before: the training part of the series.
        season: steps of a season.

    Returns:
        The mean absolute error over that of the seasonal naive forecast in the history; NaN where
        the latter is zero or cannot be had.
    """
    return mae(forecast, truth) / seasonal_error(history, season)


@checked
def pinball_losses(quantiles: Array, truth: Array, levels: Sequence[float]) -> Array:
    """Quantile losses max(q (y - f), (q - 1)(y - f)), of the shape of the quantiles.

    Args:
        quantiles: (..., Q), forecast quantiles.
        truth: (...).
        levels: the Q probabilities.
    """
    q = _levels(levels, quantiles)
    difference = _difference(quantiles, np.asarray(truth)[..., None] + np.zeros(len(q)))
    return np.maximum(-q * difference, (1 - q) * difference)


@checked
def pinball(quantiles: Array, truth: Array, levels: Sequence[float]) -> float:
    """Mean quantile loss, over levels and values; arguments as in `pinball_losses`."""
    return _mean(pinball_losses(quantiles, truth, levels))


@checked
def crps_from_quantiles(quantiles: Array, truth: Array, levels: Sequence[float]) -> float:
    """Continuous ranked probability score from quantiles: twice the mean quantile loss.

    It is the CRPS itself as evenly spaced levels become many. Arguments as in `pinball`.
    """
    return 2 * pinball(quantiles, truth, levels)


@checked
def samples_crps(samples: Array, truth: Array) -> Array:
    """CRPS of the empirical distribution of samples, E|X - y| - E|X - X'| / 2, of each truth.

    Args:
        samples: (S, ...), draws of the forecast.
        truth: (...).

    Both expectations are over the S draws themselves, so this is the score of the distribution
    that has mass 1/S on each.
    """
    if not samples.ndim or not len(samples):
        raise InputError(f"samples: expected at least one draw, received shape {samples.shape}")
    samples = np.sort(np.asarray(samples, np.float64), axis=0)
    truth = np.asarray(truth, np.float64)
    count = len(samples)
    if samples.shape[1:] != truth.shape:
        raise InputError(
            f"samples: expected draws (S, {', '.join(map(str, truth.shape))}) of a truth of shape "
            f"{truth.shape}, received shape {samples.shape}"
        )
    near = np.abs(_difference(samples, truth + np.zeros_like(samples))).mean(axis=0)
    # Of sorted draws sum |x_i - x_j| over pairs is a weighted sum, each weight the rank's.
    weights = (2 * np.arange(1, count + 1) - count - 1).reshape(-1, *(1,) * truth.ndim)
    spread = (weights * samples).sum(axis=0) / count**2
    return near - spread


@checked
def crps_from_samples(samples: Array, truth: Array) -> float:
    """Mean CRPS of the distribution of samples; arguments as in `samples_crps`."""
    return _mean(samples_crps(samples, truth))


@checked
def coverage(low: Array, high: Array, truth: Array) -> float:
    """Share of truths within [low, high]; arrays of one shape."""
    truth = np.asarray(truth, np.float64)
    inside = (_difference(low, truth) <= 0) & (_difference(high, truth) >= 0)
    return _mean(np.where(np.isnan(truth), np.nan, inside))


def _difference(forecast: Array, truth: Array) -> Array:
    forecast, truth = np.asarray(forecast, np.float64), np.asarray(truth, np.float64)
    if forecast.shape != truth.shape:
        raise InputError(
            f"forecast: expected the shape of the truth, {truth.shape}, received {forecast.shape}"
        )
    return forecast - truth


def _levels(levels: Sequence[float], quantiles: Array) -> Array:
    if not np.ndim(quantiles):
        raise InputError("quantiles: expected an array (..., Q), received a single number")
    q = np.asarray(levels, np.float64)
    if q.ndim != 1 or len(q) != np.shape(quantiles)[-1] or not ((q > 0) & (q < 1)).all():
        raise InputError(
            f"levels: expected {np.shape(quantiles)[-1]} probabilities between 0 and 1, "
            f"received {list(levels)}"
        )
    return q


def _mean(values: Array) -> float:
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if counted.size else float("nan")
