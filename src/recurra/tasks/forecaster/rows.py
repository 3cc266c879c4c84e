"""Rows of a table as examples: histories (N, T), and what followed each. scikit-learn's regressors
have their samples so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import columns_of, is_sparse, listed, plain, shown
from recurra.tasks.estimator import NO_FEATURES
from recurra.tasks.forecaster.panel import Panel, Series
from recurra.tasks.forecaster.settings import ForecasterSettings

#: The series of every row: all have one scale.
NAME = "row"
_HELD_OUT = 0.1


@dataclass(frozen=True)
class Rows:
    """Histories and what followed.

    values: (N, T), NaN where missing. after: (N, h), NaN where missing. single: whether what
    followed was given as (N,).
    """

    values: np.ndarray
    after: np.ndarray
    single: bool

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, X: Any, y: Any) -> "Rows":
        """Rows of an array, frame or list, and what followed each, (N,) or (N, h).

        Raises:
            InputError: other shapes, or what are no numbers.
        """
        values, after = numbers(X, "X"), _targets(y)
        if len(values) != len(after):
            raise InputError(
                f"y: expected what followed each of {len(values)} rows, received {len(after)}"
            )
        return cls(values, after[:, None] if after.ndim == 1 else after, after.ndim == 1)

    def panel(self) -> Panel:
        """The rows as series, each with what followed it."""
        both = np.concatenate([self.values, self.after], axis=1)
        return panel(both)

    def suited(self, config: ForecasterSettings, given: Sequence[str]) -> ForecasterSettings:
        """Settings with the horizon and look-back of these rows, where none are given.

        Raises:
            InputError: another horizon was given.
        """
        steps, horizon = self.values.shape[1], self.after.shape[1]
        if "horizon" not in given:
            config = replace(config, horizon=horizon)
        if config.horizon != horizon:
            raise InputError(
                f"y: expected {config.horizon} values after each row, the horizon, received "
                f"{horizon}: leave the horizon out"
            )
        if "lookback" not in given:
            config = replace(config, lookback=steps)
        return config.validate()


@dataclass(frozen=True)
class RowParts:
    """Which rows are for training and which are held out: origins (row, T) of windows."""

    train: np.ndarray
    valid: np.ndarray

    @classmethod
    def of(cls, count: int, steps: int, more: int, *, seed: int) -> "RowParts":
        """`more` rows behind the first `count` are held out, or a tenth of those at random.

        Raises:
            InputError: one row alone.
        """
        order = np.arange(count + more)
        if not more:
            if count < 2:
                raise InputError(
                    "X: expected at least two rows, one to be held out, received "
                    f"{count} sample: give more"
                )
            more = max(1, round(count * _HELD_OUT))
            order = np.random.default_rng([seed, 2]).permutation(count)
        ends = np.stack([order, np.full_like(order, steps)], axis=1)
        return cls(ends[:-more], ends[-more:])


def panel(values: np.ndarray) -> Panel:
    """Rows (N, T) as series of one name."""
    return Panel(tuple(Series(NAME, row[:, None]) for row in values), ("y",))


def numbers(given: Any, what: str) -> np.ndarray:
    """A table of numbers (N, T) float64, NaN where one is missing.

    Raises:
        InputError: another shape, infinity, or what are no numbers.
    """
    array = _array(given, what)
    if array.ndim == 3 and array.shape[1] == 1:  # a panel of one channel
        array = array[:, 0]
    if array.ndim == 1:
        raise InputError(
            f"{what}: expected rows of numbers (N, T), received shape {array.shape}. Reshape your "
            "data: one row x is x.reshape(1, -1)"
        )
    if array.ndim != 2:
        raise InputError(
            f"{what}: expected rows of numbers (N, T), received shape {array.shape}: a forecaster "
            "of rows reads one channel"
        )
    if not array.shape[1]:
        raise InputError(
            f"{what}: 0 {NO_FEATURES} (shape={array.shape}) while a minimum of 1 is required: give "
            "each row some numbers"
        )
    return array


def _targets(y: Any) -> np.ndarray:
    array = _array(y, "y")
    if array.ndim not in (1, 2) or not array.size:
        raise InputError(f"y: expected numbers (N,) or (N, h), received shape {array.shape}")
    if np.isnan(array).any():
        raise InputError("y: expected numbers, received NaN: leave rows out that have no answer")
    return array


def _array(given: Any, what: str) -> np.ndarray:
    expected = "numbers"
    if is_sparse(given):
        listed(given, what, expected)
    columns = columns_of(given)
    if columns is not None:
        given = [plain(column) for column in columns.values()]
    try:
        array = np.asarray(plain(given))
        if array.dtype.kind == "c":
            raise InputError(
                f"{what}: Complex data not supported: give real and imaginary parts as two columns"
            )
        found = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what}: expected {expected}, received {shown(given)}") from None
    if np.isinf(found).any():
        raise InputError(
            f"{what}: expected finite numbers, received infinity: write NaN, or a number"
        )
    if columns is None:
        return found
    return found[0] if what == "y" and len(found) == 1 else found.T


def r_squared(true: np.ndarray, found: np.ndarray, weights: np.ndarray | None) -> float:
    """R², the mean over columns: 1 - squared errors / squared distances from the mean.

    Args:
        true, found: (N,) or (N, h).
        weights: of the rows, (N,).
    """
    true, found = (np.asarray(a, np.float64).reshape(len(true), -1) for a in (true, found))
    w = np.ones(len(true)) if weights is None else weights
    errors = (w[:, None] * (true - found) ** 2).sum(0)
    spread = (w[:, None] * (true - np.average(true, axis=0, weights=w)) ** 2).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(spread > 0, 1 - errors / spread, np.where(errors > 0, 0.0, 1.0))
    return float(scores.mean())
