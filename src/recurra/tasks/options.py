"""Options of all tasks as types: written by tools/make_options.py."""

from typing import Any, Literal, TypedDict


class Network(TypedDict, total=False):
    """Settings of recurrent layers."""

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


class Train(TypedDict, total=False):
    """Settings of training."""

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
    schedule: Literal["constant", "cosine", "linear", "plateau", "rising"]
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


class Manner(TypedDict, total=False):
    """How `fit` behaves."""

    progress: bool
    warm_start: bool | None
