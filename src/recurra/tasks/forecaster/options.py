"""Options of forecasters as types: written by tools/make_options.py."""

from typing import Any, Literal, TypedDict


class Chosen(TypedDict, total=False):
    """Arguments of `Forecaster`."""

    cell: Any
    layers: int
    hidden: int
    dropout: float
    recurrent_dropout: float
    weight_drop: float
    zoneout: float
    layer_norm: bool
    peephole: bool
    projection: int
    reset: Literal["after", "before"]
    cell_options: str | None
    activation: Literal[
        "tanh", "sigmoid", "relu", "identity", "softsign", "softplus", "exp", "hard_sigmoid"
    ]
    residual: bool
    learn_initial_state: bool
    init: Literal["uniform", "orthogonal"]
    precision: Literal["float32", "bf16"]
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


class Trained(TypedDict, total=False):
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
    hold_out: int
    valid_steps: int | None
    valid_stride: int | None
    batch: int
    stride: int
    windows: int | None
    minutes: float | None
    epochs: float | None
    steps: int | None
    plan: str | None
    optimizer: Literal["sgd", "adam", "adamw"]
    lr: float | None
    momentum: float
    betas: tuple[float, float]
    weight_decay: float | None
    clip: float | None
    schedule: Literal["constant", "cosine", "linear", "plateau"]
    warmup: float
    min_lr: float
    plateau_factor: float
    plateau_patience: int
    unfreeze: float
    lr_decay: float
    patience: int | None
    eval_every: int | str
    checkpoint_every: float
    seed: int
    device: Literal["auto", "cpu", "cuda"]
    threads: int | None
    deterministic: bool
    max_bad_steps: int


class Measured(TypedDict, total=False):
    """Options of `Forecaster.evaluate`."""

    truth: Any
    steps: int | None
    stride: int
    seed: int
    skip_bad: bool
