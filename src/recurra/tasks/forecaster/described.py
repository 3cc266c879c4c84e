"""What a forecaster's numbers say of a value: mean, quantiles, draws."""

from collections.abc import Sequence

import numpy as np

from recurra import rowwise
from recurra.errors import InputError
from recurra.native import matmul
from recurra.tasks.forecaster import student_t
from recurra.tasks.forecaster.draws import Random
from recurra.tasks.forecaster.runtime import DF_FLOOR, SCALE_FLOOR

Array = np.ndarray


class PointForecast:
    """One number a value, which is all that is known of it."""

    levels: tuple[float, ...] = ()
    #: What the distances of quantiles from the median are multiplied by: see `calibration`.
    width = 1.0

    def widened(self, numbers: Array) -> Array:
        """The numbers (..., P), members joined, of the distribution that is `width` times as
        wide."""
        return numbers

    def joined(self, numbers: Array) -> Array:
        """The numbers (..., P) of an ensemble from those (M, ..., P) of its members: the mean."""
        return rowwise.mean(numbers)

    def mean(self, numbers: Array) -> Array:
        """The mean (...) that numbers (..., P) describe."""
        return numbers[..., 0]

    def median(self, numbers: Array) -> Array:
        """The median (...)."""
        return numbers[..., 0]

    def quantiles(self, numbers: Array, levels: Sequence[float]) -> Array:
        """The quantiles (..., Q)."""
        raise InputError(
            "quantiles: a forecaster with the output point knows none: train one with the output "
            "quantiles or student_t"
        )

    def draw(self, numbers: Array, rng: Random) -> Array:
        """A draw (...) for each value."""
        return numbers[..., 0]


class QuantileForecast(PointForecast):
    """The quantiles themselves, put in order (Chernozhukov, Fernández-Val & Galichon 2010)."""

    def __init__(self, levels: tuple[float, ...]) -> None:
        self.levels = levels

    def widened(self, numbers: Array) -> Array:
        """See `PointForecast`."""
        if self.width == 1 or not self.levels[0] <= 0.5 <= self.levels[-1]:
            return numbers
        middle = self.median(numbers)[..., None]
        return (middle + self.width * (np.sort(numbers, axis=-1) - middle)).astype(numbers.dtype)

    def joined(self, numbers: Array) -> Array:
        """See `PointForecast`: the mean of each quantile."""
        return rowwise.mean(np.sort(numbers, axis=-1))

    def mean(self, numbers: Array) -> Array:
        """See `PointForecast`: between levels the quantile is linear, outside constant."""
        edges = np.array([0.0, *self.levels, 1.0])
        # Each quantile stands for half the way to its neighbours, the outer ones for all beyond.
        shares = np.diff(edges)
        shares[1:-1] /= 2
        weights = np.array(shares[:-1])
        weights[-1] += shares[-1]
        weights[:-1] += shares[1:-1]
        return matmul(np.sort(numbers, axis=-1), weights.astype(numbers.dtype))

    def median(self, numbers: Array) -> Array:
        """See `PointForecast`."""
        return self.quantiles(numbers, [0.5])[..., 0]

    def quantiles(self, numbers: Array, levels: Sequence[float]) -> Array:
        """See `PointForecast`: levels in between are interpolated."""
        low, high = self.levels[0], self.levels[-1]
        if any(not low <= q <= high for q in levels):
            raise InputError(
                f"levels: expected them from {low:g} to {high:g}, as trained, "
                f"received {', '.join(f'{q:g}' for q in levels)}"
            )
        ordered = np.sort(numbers, axis=-1)
        return np.stack(
            [self._at(ordered, np.full(ordered.shape[:-1], q)) for q in levels], axis=-1
        )

    def draw(self, numbers: Array, rng: Random) -> Array:
        """See `PointForecast`: by the quantile of a uniform draw."""
        ordered = np.sort(numbers, axis=-1)
        return self._at(ordered, rng.random(ordered.shape[:-1]))

    def _at(self, ordered: Array, u: Array) -> Array:
        """The quantile u (...) of each of ordered (..., Q)."""
        count = len(self.levels)
        if count == 1:
            return ordered[..., 0]
        levels = np.array(self.levels)
        after = np.clip(np.searchsorted(levels, u), 1, count - 1)
        share = np.clip((u - levels[after - 1]) / (levels[after] - levels[after - 1]), 0, 1)
        low = np.take_along_axis(ordered, after[..., None] - 1, axis=-1)[..., 0]
        high = np.take_along_axis(ordered, after[..., None], axis=-1)[..., 0]
        return (low + share * (high - low)).astype(ordered.dtype)


class StudentTForecast(PointForecast):
    """Location, scale and degrees of freedom of Student's t."""

    def widened(self, numbers: Array) -> Array:
        """See `PointForecast`."""
        if self.width == 1:
            return numbers
        found = numbers.copy()
        scale = self.width * (_softplus(numbers[..., 1]) + SCALE_FLOOR)
        found[..., 1] = _unsoftplus(scale - SCALE_FLOOR)
        return found

    def joined(self, numbers: Array) -> Array:
        """See `PointForecast`: the mean of location, scale and degrees of freedom."""
        location, scale, df = self.parameters(numbers)
        found = np.stack([rowwise.mean(part) for part in (location, scale, df)], axis=-1)
        found[..., 1] = _unsoftplus(found[..., 1] - SCALE_FLOOR)
        found[..., 2] = _unsoftplus(found[..., 2] - DF_FLOOR)
        return found

    def parameters(self, numbers: Array) -> tuple[Array, Array, Array]:
        """Location, scale and degrees of freedom (...) of numbers (..., 3)."""
        scale = _softplus(numbers[..., 1]) + SCALE_FLOOR
        return numbers[..., 0], scale, _softplus(numbers[..., 2]) + DF_FLOOR

    def quantiles(self, numbers: Array, levels: Sequence[float]) -> Array:
        """See `PointForecast`."""
        location, scale, df = self.parameters(numbers)
        return np.stack([location + scale * student_t.quantile(q, df) for q in levels], axis=-1)

    def draw(self, numbers: Array, rng: Random) -> Array:
        """See `PointForecast`."""
        location, scale, df = self.parameters(numbers)
        return (location + scale * rng.standard_t(df)).astype(numbers.dtype)


def described(output: str, levels: tuple[float, ...], *, width: float = 1.0) -> PointForecast:
    """What numbers of the output `point`, `quantiles` or `student_t` say, `width` times as wide."""
    found = PointForecast()
    if output == "student_t":
        found = StudentTForecast()
    elif output == "quantiles":
        found = QuantileForecast(levels)
    found.width = width
    return found


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, np.zeros((), x.dtype))


def _unsoftplus(y: Array) -> Array:
    y = np.maximum(y, np.finfo(y.dtype).tiny)
    return y + np.log(-np.expm1(-y))
