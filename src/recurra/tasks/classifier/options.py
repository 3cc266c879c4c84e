"""Options of sequence classifiers as types: written by tools/make_options.py."""

from typing import Literal, TypedDict

from recurra.tasks.options import Manner, Network, Train


class Trained(Train, total=False):
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
    axes: Literal["time", "channels"]
    valid_share: float
    batch: int
    max_steps: int | None
    class_weights: Literal["none", "balanced"]
    label_smoothing: float
    pretrained: str | None
    goal: Literal["accuracy", "macro_f1", "loss"]


class Chosen(Manner, Network, Trained, total=False):
    """Arguments of `SequenceClassifier`."""

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
    missing: Literal["mean", "last", "error", "marked"]
    standardise: bool
    bidirectional: bool
    pooling: Literal["last", "mean", "max", "attention"]
    members: int


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
    axes: Literal["time", "channels"]
