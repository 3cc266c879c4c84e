"""Options of transcribers as types: written by tools/make_options.py."""

from typing import Any, Literal, TypedDict

from recurra.tasks.options import Manner, Network, Train


class Trained(Train, total=False):
    """Settings of `Transcriber.fit`."""

    speed: float
    noise: float
    frequency_masks: int
    frequency_width: float
    time_masks: int
    time_width: float
    valid_share: float
    batch: int
    skip_bad: bool


class Chosen(Manner, Network, Trained, total=False):
    """Arguments of `Transcriber`."""

    bidirectional: bool
    tokenizer: Literal["char", "word", "bpe"]
    vocab_size: int | None
    min_count: int
    rate: int | None
    window: float
    hop: float
    mels: int
    low: float
    high: float | None
    stack: int
    stride: int
    normalise: Literal["corpus", "recording"]


class Measured(TypedDict, total=False):
    """Options of `Transcriber.evaluate`."""

    beams: int
    n_best: int
    language_model: Any
    weight: float
    bonus: float
    skip_bad: bool
