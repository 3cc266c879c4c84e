"""Options of translators as types: written by tools/make_options.py."""

from typing import Literal, TypedDict

from recurra.tasks.options import Manner, Network, Train


class Trained(Train, total=False):
    """Settings of `Translator.fit`."""

    valid_share: float
    batch: int
    max_length: int | None
    skip_bad: bool
    label_smoothing: float
    metric: Literal["error_rate", "wrong", "bleu", "chrf", "loss"]
    judged: int


class Chosen(Manner, Network, Trained, total=False):
    """Arguments of `Translator`."""

    source_tokenizer: Literal["char", "byte", "word", "bpe"]
    target_tokenizer: Literal["char", "byte", "word", "bpe"]
    vocab_size: int | None
    min_count: int
    shared: bool
    embedding: int | None
    tied: bool | None
    bidirectional: bool
    decoder_layers: int | None
    attention: Literal["additive", "general", "dot"]
    copy: bool


class Measured(TypedDict, total=False):
    """Options of `Translator.evaluate`."""

    beams: int
    n_best: int
    length_penalty: float
    max_tokens: int | None
    side_by_side: int
    skip_bad: bool
