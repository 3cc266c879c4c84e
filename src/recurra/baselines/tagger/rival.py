"""What rivals in tagging share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recurra.baselines.protocol import Budget
from recurra.errors import FormatError, InputError
from recurra.given import NOTHING
from recurra.settings import sort
from recurra.storage import ModelFiles, read_model, save_model
from recurra.tasks.tagger.data import Sentences, check_words, hold_out, read
from recurra.tasks.tagger.settings import DataConfig, SequenceTaggerConfig
from recurra.tasks.tagger.task import Tagged

_ASKED = 100  # sentences that are tagged one by one to measure how long one takes


def single_inputs(data: Any, model: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Any]:
    """The first sentences of a data set, each as a list of one."""
    (chosen,) = sort(settings, DataConfig)
    return [[list(words)] for words in read(data, DataConfig(**chosen)).words[:_ASKED]]


def parted(
    data: Any, valid: Any, settings: DataConfig, *, seed: int
) -> tuple[Sentences, Sentences]:
    """Sentences to train on and to choose by, held out as the tagger holds them out."""
    train = read(data, settings)
    if valid is not None:
        return train, read(valid, settings)
    return hold_out(train, settings.valid_share, seed=seed)


class TaggingRival(ABC):
    """A tagger that is no network: see `recurra.baselines.protocol.Contender`.

    Args:
        **settings: of the tagger and of its data; those of the data are used.
    """

    task: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, **settings: Any) -> None:
        _, data = sort(settings, SequenceTaggerConfig, DataConfig)
        self._data = DataConfig(**data).validate()
        self._words: frozenset[str] | None = None
        self.left_out = NOTHING

    @abstractmethod
    def _learn(self, train: Sentences, valid: Sentences, budget: Budget) -> None:
        """Fit the model."""

    @abstractmethod
    def _tag(self, words: Sequence[str]) -> list[str]:
        """The best tags of a sentence."""

    @abstractmethod
    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What the model is, as JSON values and as arrays."""

    @abstractmethod
    def _take(self, values: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        """Become what `_parts` gave; FormatError where it is something else."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many numbers were fitted."""

    def fit(self, data: Any, *, valid: Any = None, budget: Budget = Budget()) -> None:
        """Train on tagged sentences."""
        train, held_out = parted(data, valid, self._data, seed=budget.seed)
        self.left_out = train.left_out if valid is None else train.left_out + held_out.left_out
        self._learn(train, held_out, budget)
        self._words = frozenset(word for row in train.words for word in row)

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The best tags of each sentence."""
        self._known()
        return [self._tag(check_words(row, k)) for k, row in enumerate(sentences)]

    def evaluate(self, data: Any) -> Tagged:
        """Measure it on tagged sentences, as the tagger is measured."""
        sentences, known = read(data, self._data), self._known()
        return Tagged.measure(
            sentences,
            self.predict(sentences.words),
            unknown=[[word not in known for word in row] for row in sentences.words],
        )

    def save(self, directory: str | Path) -> Path:
        """Write a model directory: JSON and arrays."""
        words = sorted(self._known())
        values, tensors = self._parts()
        config = {"task": self.task, "model": values, "words": words}
        return save_model(directory, config=config, tensors=tensors)

    @classmethod
    def load(cls, directory: str | Path, **settings: Any) -> Self:
        """Read what `save` wrote."""
        files: ModelFiles = read_model(directory)
        if files.config["task"] != cls.task:
            raise FormatError(
                f"{files.path}: expected a {cls.title}, found {files.config['task']!r}"
            )
        made = cls(**settings)
        made._take(files.config["model"], files.tensors)
        made._words = frozenset(files.config["words"])
        return made

    def _known(self) -> frozenset[str]:
        """The words of the training data; InputError where there were none."""
        if self._words is None:
            raise InputError(f"this {self.title} is not trained yet: call fit")
        return self._words
