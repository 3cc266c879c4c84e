"""Options of sequence classifiers as types: written by tools/make_options.py."""

from typing import Any, Literal, TypedDict


class Chosen(TypedDict, total=False):
    """Arguments of `SequenceClassifier`."""

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
    inputs: Literal["text", "numbers"]
    tokenizer: Literal["char", "byte", "word", "bpe"]
    vocab_size: int | None
    min_count: int
    lowercase: bool
    punctuation: bool
    subwords: int | None
    embedding: int
    token_dropout: float | None
    embedding_dropout: float | None
    missing: Literal["mean", "last", "error"]
    standardise: bool
    bidirectional: bool
    pooling: Literal["last", "mean", "max", "attention"]
    members: int


class Trained(TypedDict, total=False):
    """Settings of `SequenceClassifier.fit`."""

    input_column: str | None
    label_column: str | None
    columns: str | None
    sequence_column: str | None
    features: int
    skip_bad: bool
    delimiter: str | None
    encoding: str | None
    decimal: Literal["auto", "point", "comma"]
    valid_share: float
    batch: int
    max_steps: int | None
    class_weights: Literal["none", "balanced"]
    label_smoothing: float
    pretrained: str | None
    goal: Literal["accuracy", "macro_f1", "loss"]
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
    """Options of `SequenceClassifier.evaluate`."""

    input_column: str | None
    label_column: str | None
    columns: str | None
    sequence_column: str | None
    features: int
    skip_bad: bool
    delimiter: str | None
    encoding: str | None
    decimal: Literal["auto", "point", "comma"]
