"""Options of language models as types: written by tools/make_options.py."""

from typing import Any, Literal, TypedDict

from recurra.tasks.options import Manner, Network, Train


class Trained(Train, total=False):
    """Settings of `LanguageModel.fit`."""

    valid_share: float
    lines: bool
    batch: int
    bptt: int | str | None
    random_lengths: bool


class Chosen(Manner, Network, Trained, total=False):
    """Arguments of `LanguageModel`."""

    tokenizer: Literal["char", "byte", "word", "bpe"]
    vocab_size: int | None
    min_count: int
    embedding: int | None
    tied: bool | None
    embedding_dropout: float


class Measured(TypedDict, total=False):
    """Options of `LanguageModel.evaluate`."""

    dynamic: Any
    text: str | None
    trained_on: Any
