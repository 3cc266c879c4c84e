"""From what the network says, in numbers near one, to forecasts in the units of the series."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recurra.tasks.forecaster.described import PointForecast, StudentTForecast
from recurra.tasks.forecaster.draws import Random
from recurra.tasks.forecaster.forecast import Forecasts

#: Paths that mean, median and quantiles of an autoregressive forecast are taken from.
PATHS = 200
#: Levels at which Student's t and paths are shown and scored, unless others are asked for.
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


@dataclass(frozen=True)
class Units:
    """What normalised values (..., B, C, h) are multiplied by and added to, (B, C) each, and the
    inverse of the transform (None: there is none)."""

    size: np.ndarray
    shift: np.ndarray
    inverse: Callable[[np.ndarray], np.ndarray] | None

    def back(self, values: np.ndarray) -> np.ndarray:
        """In units of the series: (..., B, h, C), float64."""
        found = values.astype(np.float64) * self.size[..., None] + self.shift[..., None]
        return (found if self.inverse is None else self.inverse(found)).swapaxes(-1, -2)


def from_paths(paths: np.ndarray, units: Units, levels: Sequence[float] | None) -> Forecasts:
    """Forecasts from paths (S, B, C, h)."""
    found, asked = units.back(paths), tuple(levels or LEVELS)
    quantiles = np.moveaxis(np.quantile(found, asked, axis=0), 0, -1)
    return Forecasts(found.mean(axis=0), np.median(found, axis=0), asked, quantiles, found)


def from_numbers(
    distribution: PointForecast,
    numbers: np.ndarray,
    units: Units,
    levels: Sequence[float] | None,
    *,
    samples: int,
    rng: Random,
) -> Forecasts:
    """Forecasts from what direct members say, numbers (M, B, C, h, P)."""
    numbers = distribution.joined(numbers)
    wide = distribution.widened(numbers)
    asked = tuple(levels or distribution.levels)
    student = None
    if isinstance(distribution, StudentTForecast):
        asked = tuple(levels or LEVELS)
        if units.inverse is None:
            place, width, df = distribution.parameters(wide)
            spread = (width * units.size[..., None]).swapaxes(1, 2)
            student = (units.back(place), spread, df.swapaxes(1, 2))
    drawn = quantiles = None
    if samples:
        drawn = np.stack([units.back(distribution.draw(wide, rng)) for _ in range(samples)])
    if asked:
        parts = np.moveaxis(distribution.quantiles(wide, asked), -1, 0)
        quantiles = np.moveaxis(units.back(parts), 0, -1)
    return Forecasts(
        units.back(distribution.mean(numbers)),
        units.back(distribution.median(numbers)),
        asked,
        quantiles,
        drawn,
        student,
    )
