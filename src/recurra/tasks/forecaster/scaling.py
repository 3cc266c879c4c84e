"""How values of any size become numbers near one, and back: fitted on training data alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.data.timestamps import Step, calendar_features
from recurra.errors import FormatError, InputError
from recurra.given import reason
from recurra.tasks.forecaster.outcome import Units
from recurra.tasks.forecaster.panel import Panel, Series, filled
from recurra.tasks.forecaster.settings import ForecasterSettings

#: No window is divided by less than this share of the deviation of its series.
_FLOOR = 0.02
#: What a file may say of sizes: beyond it, windows are not finite.
_LARGEST = 1e200
#: The largest number of a series: the squares of deviations must be finite.
_MOST = 1e100
#: The most, once measured by the values that were learnt from: float32 holds sums of squares of it.
_REACH = 1e17


@dataclass(frozen=True)
class Track:
    """A series as the network reads it.

    values: (T, C), scaled, missing ones filled. present: (T, C). known: (T + F, K'). static: (S,).
    shift, size: (C,), what the scaled values are multiplied by and added to. floor: (C,), the least
    that a window is divided by. deviation: (C,), of the values as they came, in training.
    """

    values: np.ndarray
    present: np.ndarray
    known: np.ndarray
    static: np.ndarray
    shift: np.ndarray
    size: np.ndarray
    floor: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Scaler:
    """What training data say of sizes, covariates and words.

    series: by name, of each column mean, deviation and mean absolute value (after the transform),
    and the deviation before it. known: of each column mean and deviation. static: of each column
    mean and deviation, or the words there are.
    """

    transform: str
    scale: str
    calendar: tuple[str, ...]
    columns: tuple[str, ...]
    known_columns: tuple[str, ...]
    static_columns: tuple[str, ...]
    step: Step
    series: dict[str, list[list[float]]]
    known: list[list[float]]
    static: list[Any]

    @classmethod
    def fit(cls, panel: Panel, config: ForecasterSettings) -> "Scaler":
        """Learn from the training part of some series.

        Raises:
            InputError: values that the transform does not take.
        """
        for one in panel.series:
            _check_size(one)
        known = [one.known[: len(one)] for one in panel.series]
        many = np.concatenate(known) if panel.known_columns else np.zeros((0, 0))
        static: list[Any] = []
        for index in range(len(panel.static_columns)):
            found = [one.static[index] for one in panel.series]
            if all(isinstance(value, float) for value in found):
                static.append([float(np.mean(found)), float(np.std(found)) or 1.0])  # type: ignore[arg-type]
            else:
                static.append({"words": sorted({str(value) for value in found})})
        return cls(
            transform=config.transform,
            scale=config.scale,
            calendar=config.calendar_names,
            columns=panel.columns,
            known_columns=panel.known_columns,
            static_columns=panel.static_columns,
            step=panel.step,
            series={one.name: _sizes(one, config.transform) for one in panel.series},
            known=[[float(c.mean()), float(c.std()) or 1.0] for c in many.T],
            static=static,
        )

    @property
    def known_size(self) -> int:
        """K': numbers that say what is known of a time."""
        return len(self.known) + 2 * len(self.calendar)

    @property
    def static_size(self) -> int:
        """S: numbers that say what is known of a series."""
        return sum(len(one["words"]) if isinstance(one, dict) else 1 for one in self.static)

    def tracks(self, panel: Panel, *, ahead: int = 0, lengths: Sequence[int] = ()) -> list[Track]:
        """Series as the network reads them, with known covariates for `ahead` steps past their end.

        A series that was not in training is scaled by its own values: the first `lengths` of it, by
        default all.

        Raises:
            InputError: other columns or another step than in training, covariates that are missing.
        """
        self._check(panel)
        counts = lengths or [len(one) for one in panel.series]
        return [
            self._track(panel, one, ahead, count)
            for one, count in zip(panel.series, counts, strict=True)
        ]

    def units(self, tracks: Sequence[Track], shift: np.ndarray, size: np.ndarray) -> Units:
        """The units of windows (B) of these tracks, themselves shifted and sized by (B, C)."""
        sizes = np.stack([track.size for track in tracks])
        shifts = np.stack([track.shift for track in tracks])
        return self.units_of(sizes, shifts, shift, size)

    def units_of(
        self, sizes: np.ndarray, shifts: np.ndarray, shift: np.ndarray, size: np.ndarray
    ) -> Units:
        """`units` of windows whose tracks are sized and shifted by (B, C)."""
        inverse = None if self.transform == "none" else self._inverse
        return Units(size * sizes, shift * sizes + shifts, inverse)

    def forth(self, row: np.ndarray) -> np.ndarray:
        """The transform of some values; InputError where it does not take them."""
        return _forth(Series("", row[None]), self.transform)[0]

    def known_numbers(self, known: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Known covariates (n, K) at times (n,) as the network reads them: (n, K')."""
        parts = [calendar_features(times, self.calendar)]
        if self.known_columns:
            mean, deviation = np.array(self.known).T
            parts.insert(0, (known - mean) / deviation)
            check_reach(parts[0], "known covariates")
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _inverse(self, values: np.ndarray) -> np.ndarray:
        """The inverse of the transform."""
        # Beyond this a float32 is infinite: a forecast so far out is wrong, but can be told.
        grown = np.exp(np.minimum(values, 88.0))
        return grown if self.transform == "log" else grown - 1

    def joined(self, other: "Scaler") -> "Scaler":
        """This scaler with the series of another one too, for a model that is trained further."""
        return replace(self, series={**self.series, **other.series})

    def _track(self, panel: Panel, one: Series, ahead: int, count: int) -> Track:
        _check_size(one)
        learnt = self.series.get(one.name) or _sizes(one.until(count), self.transform)
        sizes = np.array(learnt, np.float64)
        mean, deviation, absolute, raw = sizes.T
        shift = mean if self.scale == "standard" else np.zeros_like(mean)
        kinds = {"standard": deviation, "mean": absolute, "none": np.ones_like(mean)}
        size = kinds[self.scale]
        given = (filled(_forth(one, self.transform), mean) - shift) / size
        check_reach(given, f"series {one.name!r}: values")
        return Track(
            values=given.astype(np.float32),
            present=~np.isnan(one.values),
            known=self._known(panel, one, len(one) + ahead),
            static=self._static(one),
            shift=shift,
            size=size,
            floor=_FLOOR * deviation / size,
            deviation=raw,
        )

    def _known(self, panel: Panel, one: Series, count: int) -> np.ndarray:
        if self.known_columns and len(one.known) < count:
            raise InputError(
                f"series {one.name!r}: expected {', '.join(self.known_columns)} for {count} steps, "
                f"those to forecast too, received {len(one.known)}: add rows without values"
            )
        return self.known_numbers(one.known[:count], panel.times(one, count))

    def _static(self, one: Series) -> np.ndarray:
        parts: list[float] = []
        for name, value, rule in zip(self.static_columns, one.static, self.static, strict=True):
            if isinstance(rule, dict):
                # A word that training had not is none of them: zeros.
                parts += [float(str(value) == word) for word in rule["words"]]
            elif isinstance(value, str):
                raise InputError(
                    f"series {one.name!r}: {name}: expected a number as in training, "
                    f"received {value!r}"
                )
            else:
                parts.append((value - rule[0]) / rule[1])
        return np.array(parts, np.float32)

    def _check(self, panel: Panel) -> None:
        for what, mine, given in (
            ("columns", self.columns, panel.columns),
            ("known covariates", self.known_columns, panel.known_columns),
            ("static covariates", self.static_columns, panel.static_columns),
        ):
            if mine != given:
                raise InputError(
                    f"{what}: expected {', '.join(mine) or 'none'} as in training, "
                    f"received {', '.join(given) or 'none'}"
                )
        if not panel.step.same_as(self.step) and (
            self.calendar or "number" not in (panel.step.unit, self.step.unit)
        ):
            raise InputError(
                f"step: expected one {self.step} between observations as in training, "
                f"received one {panel.step}"
            )

    def check(self, config: ForecasterSettings) -> None:
        """Raise FormatError where a model's settings are not those this was fitted for."""
        for name, mine, given in (
            ("transform", self.transform, config.transform),
            ("scale", self.scale, config.scale),
            ("calendar", self.calendar, config.calendar_names),
        ):
            if mine != given:
                raise FormatError(
                    f'config.json, "scaler": {name}: expected {given!r}, as the settings have it, '
                    f"received {mine!r}: restore the file from a copy"
                )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **vars(self),
            "calendar": list(self.calendar),
            "columns": list(self.columns),
            "known_columns": list(self.known_columns),
            "static_columns": list(self.static_columns),
            "step": self.step.to_json(),
        }

    @classmethod
    def from_json(cls, values: Any) -> "Scaler":
        """The scaler that `to_json` wrote; FormatError for anything else."""
        try:
            names = ("calendar", "columns", "known_columns", "static_columns")
            tuples = {name: tuple(values[name]) for name in names}
            made = cls(**{**values, **tuples, "step": Step.from_json(values["step"])})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(
                f'config.json, "scaler": {reason(error)}: restore the file from a copy'
            ) from error
        check_scaler(made)
        return made


def check_scaler(scaler: Scaler) -> None:
    """Raise FormatError where what was read from a file is no scaler's."""

    def numbers(row: Any, count: int, *positive: int) -> bool:
        return (
            isinstance(row, list)
            and len(row) == count
            and all(type(n) in (int, float) and abs(n) <= _LARGEST for n in row)
            and all(row[k] > 0 for k in positive)
        )

    def words(row: Any) -> bool:
        right = isinstance(row, dict) and row.keys() == {"words"} and isinstance(row["words"], list)
        return right and all(isinstance(word, str) for word in row["words"])

    columns, series = len(scaler.columns), scaler.series
    names = (*scaler.calendar, *scaler.columns, *scaler.known_columns, *scaler.static_columns)
    parts = {
        "names": columns > 0 and all(isinstance(name, str) for name in names),
        "series": isinstance(series, dict)
        and all(isinstance(rows, list) and len(rows) == columns for rows in series.values())
        and all(numbers(row, 4, 1, 2, 3) for rows in series.values() for row in rows),
        "known": isinstance(scaler.known, list)
        and len(scaler.known) == len(scaler.known_columns)
        and all(numbers(row, 2, 1) for row in scaler.known),
        "static": isinstance(scaler.static, list)
        and len(scaler.static) == len(scaler.static_columns)
        and all(numbers(row, 2, 1) or words(row) for row in scaler.static),
    }
    wrong = [name for name, right in parts.items() if not right]
    if wrong:
        raise FormatError(
            f'config.json, "scaler": {wrong[0]}: not what a scaler has written: restore the file '
            "from a copy"
        )


def _forth(one: Series, transform: str) -> np.ndarray:
    if transform == "none":
        return one.values
    lowest = np.nanmin(one.values, initial=np.inf)
    if lowest <= 0 and (transform == "log" or lowest <= -1):
        least = "positive values" if transform == "log" else "values above -1"
        raise InputError(
            f"series {one.name!r}: transform {transform} expects {least}, received {lowest:g}: "
            "choose transform none"
        )
    return np.log(one.values) if transform == "log" else np.log1p(one.values)


def check_reach(numbers: np.ndarray, what: str) -> None:
    """Refuse numbers (measured by those that were learnt from) that a network cannot read."""
    most = float(np.fmax.reduce(np.abs(numbers), axis=None, initial=0.0))
    if most > _REACH:
        raise InputError(
            f"{what}: expected numbers like those the model was trained on, received one that is "
            f"{most:.0e} times as large: correct it, or leave it out"
        )


def _check_size(one: Series) -> None:
    """Refuse numbers whose squares are not finite."""
    fixed = np.array([value for value in one.static if isinstance(value, float)])
    for what, numbers in (
        ("values", one.values), ("known covariates", one.known), ("static covariates", fixed)
    ):  # fmt: skip
        most = float(np.fmax.reduce(np.abs(numbers), axis=None, initial=0.0))
        if most > _MOST:
            raise InputError(
                f"series {one.name!r}: expected {what} within ±{_MOST:g}, received one of "
                f"{most:g}: divide them by a constant"
            )


def _sizes(one: Series, transform: str) -> list[list[float]]:
    found = []
    values = _forth(one, transform)
    for column, raw in zip(values.T, one.values.T, strict=True):
        there = column[~np.isnan(column)]
        if not len(there):
            there = raw = np.zeros(1)
        # A constant is left as it is: its deviation, but for rounding, is none.
        deviation, absolute = there.std(), np.abs(there).mean()
        deviation = deviation if deviation > 1e-9 * absolute else 1.0
        spread = float(np.nanstd(raw)) or 1.0
        found.append([float(there.mean()), float(deviation), float(absolute) or 1.0, spread])
    return found
