"""Options of sequence taggers as types: written by tools/make_options.py."""

from typing import Literal, TypedDict

from recurra.tasks.options import Manner, Network, Train


class Trained(Train, total=False):
    """Settings of `SequenceTagger.fit`."""

    format: Literal["columns", "conllu", "jsonl", "lines"] | None
    word_column: int | None
    tag_column: int | str | None
    skip_bad: bool
    valid_share: float
    batch: int
    pretrained: str | None
    recall_cost: float
    goal: Literal["accuracy", "f1", "loss"] | None


class Chosen(Manner, Network, Trained, total=False):
    """Arguments of `SequenceTagger`."""

    embedding: int
    min_count: int
    lowercase: bool
    word_dropout: float
    subwords: int
    gram_count: int
    characters: int
    character_hidden: int
    features: bool
    feature_window: int
    feature_count: int
    feature_dropout: float
    bidirectional: bool
    crf: bool | None
    members: int
    constrain: bool


class Measured(TypedDict, total=False):
    """Options of `SequenceTagger.evaluate`."""

    format: Literal["columns", "conllu", "jsonl", "lines"] | None
    word_column: int | None
    tag_column: int | str | None
    skip_bad: bool
