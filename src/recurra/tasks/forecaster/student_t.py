"""Student's t distribution over numpy: cumulative probability, quantile, CRPS.

All are of the standard form, location 0 and scale 1; arrays broadcast.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev

Array = np.ndarray

_TINY = 1e-300
_NODES = 48
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)


def cdf(x: Array, df: Array) -> Array:
    """P(X <= x), with a relative error of the smaller tail below 1e-11 (df from 1 to 1e4)."""
    x, df = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(df, np.float64))
    tail = 0.5 * _incomplete_beta(df / 2, np.full_like(df, 0.5), df / (df + x * x))
    return np.where(x < 0, tail, 1 - tail)


def log_density(x: Array, df: Array) -> Array:
    """Natural logarithm of the density."""
    df = np.asarray(df, np.float64)
    constant = _log_gamma((df + 1) / 2) - _log_gamma(df / 2) - 0.5 * np.log(np.pi * df)
    return constant - (df + 1) / 2 * np.log1p(np.square(x) / df)


def quantile(p: float, df: Array) -> Array:
    """The x with P(X <= x) = p, for one p between 0 and 1 and any df of at least 1.

    From a Chebyshev series in 1 / df: the relative error is below 1e-9 for p from 0.001 to 0.999.
    """
    if p == 0.5:
        return np.zeros(np.shape(df))
    u = 1 / np.asarray(df, np.float64)
    size = np.exp(chebyshev.chebval(2 * u - 1, _series(min(p, 1 - p))))
    return -size if p < 0.5 else size


@lru_cache(maxsize=256)
def _series(tail: float) -> Array:
    """Coefficients of log x(u), where P(X > x) = tail for df = 1 / u, u from 0 to 1."""
    angles = np.pi * (np.arange(_NODES) + 0.5) / _NODES
    values = np.log(_solved(tail, 2 / (1 + np.cos(angles))))
    # At these nodes the polynomials are orthogonal: a sum for each, where a fit would leave the
    # last bits to the processor's LAPACK.
    series = 2 / _NODES * (np.cos(np.arange(_NODES)[:, None] * angles) * values).sum(1)
    series[0] /= 2
    return series


def _solved(tail: float, df: Array) -> Array:
    """Newton's steps, and bisection where they would leave the bracket."""
    # Quantiles of the Cauchy distribution are farther out than those of any df above 1.
    low, high = np.zeros_like(df), np.full_like(df, 1 / math.tan(math.pi * tail) * (1 + 1e-12))
    x = 0.5 * high / np.sqrt(1 + 0.1 * high)
    for _ in range(100):
        error = cdf(-x, df) - tail
        low, high = np.where(error > 0, x, low), np.where(error > 0, high, x)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            step = x + error / np.exp(log_density(x, df))
        inside = (step > low) & (step < high)
        new = np.where(inside, step, 0.5 * (low + high))
        moved = np.abs(new - x) > 1e-13 * x
        x = new
        if not moved.any():
            break
    return x


def crps(z: Array, df: Array) -> Array:
    """CRPS of the standard distribution at z, for df above 1 (Jordan, Krüger & Lerch 2019, A.2)."""
    z, df = np.broadcast_arrays(np.asarray(z, np.float64), np.asarray(df, np.float64))
    spread = _log_beta(np.full_like(df, 0.5), df - 0.5) - 2 * _log_beta(
        np.full_like(df, 0.5), df / 2
    )
    return (
        z * (2 * cdf(z, df) - 1)
        + 2 * np.exp(log_density(z, df)) * (df + z * z) / (df - 1)
        - 2 * np.sqrt(df) / (df - 1) * np.exp(spread)
    )


def _log_gamma(x: Array) -> Array:
    """log of the gamma function for x > 0: Stirling's series, ten steps further up."""
    x = np.asarray(x, np.float64)
    below = np.ones_like(x)
    for k in range(10):
        below = below * (x + k)
    y = x + 10
    series = sum(c / y ** (2 * k + 1) for k, c in enumerate(_STIRLING))
    return (y - 0.5) * np.log(y) - y + 0.5 * math.log(2 * math.pi) + series - np.log(below)


def _log_beta(a: Array, b: Array) -> Array:
    return _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)


def _incomplete_beta(a: Array, b: Array, x: Array) -> Array:
    """Regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz 1976)."""
    swap = x > (a + 1) / (a + b + 2)  # where the fraction of the complement converges fast
    a, b, x = np.where(swap, b, a), np.where(swap, a, b), np.where(swap, 1 - x, x)
    with np.errstate(divide="ignore"):
        front = np.exp(a * np.log(x) + b * np.log1p(-x) - _log_beta(a, b)) / a
    c, d = np.ones_like(x), 1 / _away(1 - (a + b) * x / (a + 1))
    value, done = d, np.zeros(np.shape(x), bool)
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _away(1 + even * d), _away(1 + even / c)
        further = value * c * d
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _away(1 + odd * d), _away(1 + odd / c)
        value = np.where(done, value, further * c * d)  # of each as if it were alone
        done |= np.abs(c * d - 1) < 1e-15
        if done.all():
            break
    found = np.where(x > 0, front * value, 0.0)
    return np.where(swap, 1 - found, found)


def _away(x: Array) -> Array:
    """x, kept away from zero."""
    return np.where(np.abs(x) < _TINY, _TINY, x)
