"""Intervals of short series, as wide as the validation says.

A network that learns from few windows knows them by heart, and its quantiles are those of what it
has seen. Here their distance from the median is multiplied by one factor, chosen so that the
outermost interval holds its share of values that training has not seen: split conformal prediction
(Vovk et al. 2005), with the distance in units of the interval as in Romano, Patterson & Candès,
"Conformalized Quantile Regression", NeurIPS 2019. Intervals are never made narrower, and mean and
median stay as they are.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import FormatError
from recurra.given import brief
from recurra.tasks.forecaster.described import PointForecast, StudentTForecast

#: Up to so many windows to train on, intervals are calibrated without being asked for.
WINDOWS = 500
_SMALLEST = 1e-6  # width of a side of an interval, in normalised values


def outer_levels(distribution: PointForecast) -> tuple[float, float] | None:
    """The levels of the widest interval about the median; None where there is none."""
    if isinstance(distribution, StudentTForecast):
        return 0.05, 0.95
    levels: Sequence[float] = distribution.levels
    return (levels[0], levels[-1]) if levels and levels[0] < 0.5 < levels[-1] else None


def distances(distribution: PointForecast, numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How far values (...) are from the median, in widths of that side of the widest interval.

    Args:
        distribution: one that has `outer_levels`.
        numbers: what the network says of them, (..., P), members joined.
        values: those that came.
    """
    low, high = outer_levels(distribution) or (0.0, 0.0)
    down, middle, up = np.moveaxis(distribution.quantiles(numbers, [low, 0.5, high]), -1, 0)
    side = np.where(values > middle, up - middle, middle - down)
    return np.asarray(np.abs(values - middle) / np.maximum(side, _SMALLEST), np.float64)


def factor(far: np.ndarray, share: float) -> float:
    """The factor, at least 1, with which an interval of `share` holds its share of N values.

    far: (N,), of `distances`. Of N exchangeable ones and the next, that is the ⌈share (N + 1)⌉-th
    in size; the largest, where N is too small for it.
    """
    far = np.sort(far[np.isfinite(far)])
    if not len(far):
        return 1.0
    rank = min(len(far), math.ceil(share * (len(far) + 1) - 1e-9))
    return max(1.0, float(far[rank - 1]))


def width_of(config: Mapping[str, Any], path: Path) -> float:
    """The factor in the `config.json` of a model, 1 where it has none; FormatError if damaged."""
    width = config.get("widening", 1.0)
    right = isinstance(width, int | float) and not isinstance(width, bool)
    if not right or not 1 <= width < math.inf:
        raise FormatError(
            f'{path}: config.json: expected a number "widening" from 1 on, found '
            f"{brief(width)}: restore the file from a copy"
        )
    return float(width)
