"""A forecaster of a model directory without torch: what a context says of the horizon."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recurra.errors import FormatError
from recurra.runtime import student_t
from recurra.runtime.stack import RuntimeStack

DF_FLOOR, SCALE_FLOOR = 2.0, 1e-4


@dataclass(frozen=True)
class ForecastShape:
    """Sizes of a forecaster, and how values go in and come out.

    direct: whether the horizon comes at once, or segment by segment. channels: C. joint: whether
    the columns are features of one sequence, or sequences of their own. lookback: L steps of the
    context. horizon: steps to forecast. segment: w steps read at once. embedding,
    channel_embedding: widths. known, static: K and S covariates. lags: earlier values that
    autoregressive members also read. numbers: P that describe a value. highway: whether there is a
    linear map beside the recurrent path; shifts_all: whether it adds to all numbers, or to the
    first. members: of the ensemble.
    """

    direct: bool
    channels: int
    joint: bool
    lookback: int
    horizon: int
    segment: int
    embedding: int
    channel_embedding: int
    known: int
    static: int
    lags: tuple[int, ...]
    numbers: int
    highway: bool
    shifts_all: bool
    members: int

    @property
    def features(self) -> int:
        """F: values of one sequence at one time."""
        return self.channels if self.joint else 1

    @property
    def ahead(self) -> int:
        """Segments of the horizon."""
        return -(-self.horizon // self.segment)

    @property
    def steps_ahead(self) -> int:
        """W: steps of those segments, at least the horizon."""
        return self.ahead * self.segment

    @property
    def reach(self) -> int:
        """A: steps before the lookback that lags reach to, whole segments."""
        behind = max(self.lags, default=self.segment) - self.segment
        return -(-behind // self.segment) * self.segment

    @property
    def context(self) -> int:
        """A + L: steps of history that a forecast reads."""
        return self.reach + self.lookback

    @property
    def inputs(self) -> int:
        """Numbers that one step of the recurrent layers reads, before the embedding."""
        read = self.segment * self.known + self.static
        if self.direct:
            return read + self.segment * self.features
        return read + self.segment * self.features * (1 + len(self.lags)) + self.channel_embedding

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "lags": list(self.lags)}

    @classmethod
    def from_json(cls, values: Any) -> "ForecastShape":
        """The shape that `to_json` wrote; FormatError for anything else."""
        try:
            return cls(**{**values, "lags": tuple(values["lags"])})
        except (KeyError, TypeError) as error:
            raise FormatError(f"shape of the forecaster: {error}") from error
