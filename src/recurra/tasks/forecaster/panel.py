"""Series on a regular grid of times, and panels of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recurra.data.dates import Writer
from recurra.data.timestamps import Step
from recurra.errors import InputError
from recurra.given import LeftOut, shown

Time = np.datetime64 | int
_NUMBERED = Step(1, "number")


@dataclass(frozen=True)
class Series:
    """One series on a regular grid of times.

    Args:
        name: its id.
        values: (T, C), NaN where missing.
        start: time of the first row.
        known: (T + F, K), covariates known beforehand, for F steps past the values too.
        static: what never changes: numbers, or words.
    """

    name: str
    values: np.ndarray
    start: Time = 0
    known: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    static: tuple[float | str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def until(self, steps: int) -> "Series":
        """The first `steps` values; known covariates stay whole."""
        return replace(self, values=self.values[:steps])


@dataclass(frozen=True)
class Panel:
    """Some series with the same columns and the same step between observations.

    writer: writes times as the file has them that the series come from. told: what was recognised
    in the file, in a line.
    """

    series: tuple[Series, ...]
    columns: tuple[str, ...]
    step: Step = _NUMBERED
    known_columns: tuple[str, ...] = ()
    static_columns: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    writer: Writer | None = None
    told: str = ""

    def __len__(self) -> int:
        return len(self.series)

    @property
    def left_out(self) -> LeftOut:
        """How many rows could not be read, and the first of them."""
        return LeftOut.of(self.skipped, kept=None)

    def times(self, series: Series, count: int | None = None) -> np.ndarray:
        """Times of the first `count` rows of a series, by default of all its values."""
        return self.step.after(series.start, len(series) if count is None else count)

    def without_last(self, steps: int) -> "Panel":
        """The panel without the last `steps` values of each series; known covariates stay whole.

        Raises:
            InputError: a series is not longer than that.
        """
        for one in self.series:
            if len(one) <= steps:
                raise InputError(
                    f"series {one.name}: expected more than the {steps} steps that are held out, "
                    f"received {len(one)}"
                )
        kept = tuple(one.until(len(one) - steps) for one in self.series)
        return replace(self, series=kept)

    def followed_by(self, after: "Panel") -> "Panel":
        """Each series with the values of the series of that name in `after` behind its own.

        Raises:
            InputError: a series is not there, has other columns, or begins at another time.
        """
        if self.columns != after.columns:
            raise InputError(
                f"what follows: expected the columns {', '.join(self.columns)}, "
                f"received {', '.join(after.columns)}"
            )
        later = {one.name: one for one in after.series}
        joined = []
        for one in self.series:
            if one.name not in later:
                raise InputError(
                    f"what follows: expected the series {one.name!r}, found none: add what "
                    "followed it"
                )
            behind, due = later[one.name], self.step.after(one.start, len(one) + 1)[-1]
            if self.step.unit != "number" and behind.start != due:
                raise InputError(
                    f"what follows: expected series {one.name!r} to go on at {due}, "
                    f"it begins at {behind.start}"
                )
            known = np.concatenate([one.known[: len(one)], behind.known])
            values = np.concatenate([one.values, behind.values])
            joined.append(replace(one, values=values, known=known))
        return replace(self, series=tuple(joined), skipped=(*self.skipped, *after.skipped))

    @classmethod
    def of(cls, values: Any, *, columns: Sequence[str] = (), names: Sequence[str] = ()) -> "Panel":
        """A panel from arrays: one (T,) or (T, C), several of them, or a mapping by name.

        Raises:
            InputError: arrays that are empty, infinite, or of different widths.
        """
        if isinstance(values, Mapping):
            names, values = [str(name) for name in values], list(values.values())
        elif isinstance(values, np.ndarray) or (
            len(values) and (values[0] is None or np.isscalar(values[0]))
        ):
            values = [values]
        found = []
        for index, one in enumerate(values):
            name = names[index] if index < len(names) else str(index)
            try:
                if np.iscomplexobj(one) or np.asarray(one).dtype.kind in "mM":
                    raise TypeError
                array = np.asarray(one, np.float64)
            except (TypeError, ValueError, OverflowError, RecursionError):
                raise InputError(
                    f"series {name}: expected numbers (T,) or (T, C), NaN where missing, received "
                    f"{shown(one)}"
                ) from None
            array = array[:, None] if array.ndim == 1 else array
            if array.ndim != 2 or not array.size or np.isinf(array).any():
                raise InputError(
                    f"series {name}: expected finite numbers (T,) or (T, C), NaN where missing, "
                    f"received an array of shape {np.shape(one)}, or infinity in it"
                )
            found.append(Series(name, array))
        widths = sorted({one.values.shape[1] for one in found})
        if len(widths) != 1:
            if not widths:
                raise InputError("series: expected at least one, received none: give some numbers")
            raise InputError(
                f"series: expected as many columns in each, received some of {widths[0]} and some "
                f"of {widths[-1]}: give each kind to a forecaster of its own"
            )
        numbered = tuple(f"y{i}" for i in range(widths[0])) if widths[0] > 1 else ("y",)
        columns = tuple(columns) or numbered
        if len(columns) != widths[0]:
            raise InputError(f"series: expected {widths[0]} columns, received {len(columns)} names")
        return cls(tuple(found), columns)


def filled(values: np.ndarray, leading: np.ndarray | None = None) -> np.ndarray:
    """(T, C) with each missing value as the last one before it.

    Those before any value become `leading` (C,), by default the first value after.
    """
    rows = np.arange(len(values))[:, None]
    missing = np.isnan(values)
    last = np.maximum.accumulate(np.where(missing, -1, rows), axis=0)
    first = np.argmin(missing, axis=0)
    found = np.take_along_axis(values, np.where(last < 0, first, last), axis=0)
    if leading is not None:
        found = np.where(last < 0, leading, found)
    return np.where(np.isnan(found), 0.0, found)
