"""Options of forecasters as types: written by tools/make_options.py."""

from typing import Any, Literal, TypedDict

from recurra.tasks.options import Manner, Network, Train


class Trained(Train, total=False):
    """Settings of `Forecaster.fit`."""

    layout: Literal["auto", "long", "wide", "calendar"]
    series_column: str | None
    time_column: str | None
    value_columns: str | None
    known_columns: str | None
    static_columns: str | None
    missing: Literal["keep", "error", "previous", "linear"]
    skip_bad: bool
    delimiter: str | None
    skip_lines: int
    dates: Literal["auto", "day-first", "month-first", "unix", "unix-ms", "numbers", "order"]
    decimal: Literal["auto", "point", "comma"]
    encoding: str | None
    freq: str | None
    hold_out: int
    valid_steps: int | None
    valid_stride: int | None
    batch: int
    stride: int
    windows: int | None
    calibrate: bool | None


class Chosen(Manner, Network, Trained, total=False):
    """Arguments of `Forecaster`."""

    horizon: int
    lookback: int | None
    segment: int
    mode: Literal["direct", "autoregressive"]
    output: Literal["point", "quantiles", "student_t"]
    norm: Literal["l1", "l2"]
    levels: str
    columns: Literal["independent", "joint"]
    transform: Literal["none", "log", "log1p"]
    scale: Literal["standard", "mean", "none"]
    normalise: Literal["last", "mean", "standard", "none"]
    highway: bool | None
    lags: str | None
    calendar: str | None
    season: int | None
    embedding: int
    members: int


class Measured(TypedDict, total=False):
    """Options of `Forecaster.evaluate`."""

    truth: Any
    steps: int | None
    stride: int
    seed: int
    skip_bad: bool
