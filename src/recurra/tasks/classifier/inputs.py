"""What of the training inputs a classifier remembers, to read others in the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import reason
from recurra.tasks.classifier.settings import ClassifierSettings
from recurra.text import Tokenizer, train_tokenizer
from recurra.text.lexicon import Lexicon, Normaliser, Subwords, subwords_from_json


class TextInputs:
    """A tokenizer, and the character n-grams of words where these count."""

    def __init__(
        self, config: ClassifierSettings, tokenizer: Tokenizer, subwords: Subwords | None
    ) -> None:
        self.tokenizer, self.subwords = tokenizer, subwords
        self._normalise = _normaliser(config)
        self._lowercase = config.lowercase

    @classmethod
    def fit(
        cls,
        config: ClassifierSettings,
        texts: Sequence[str],
        *,
        tokenizer: Tokenizer | None = None,
    ) -> "TextInputs":
        """From the training texts alone, or with the tokenizer of a pretrained model."""
        if tokenizer is not None:
            return cls(config, tokenizer, None)
        normalised = list(map(_normaliser(config), texts))
        tokenizer = train_tokenizer(
            config.tokenizer,
            normalised,
            texts=True,
            vocab_size=config.vocab_size,
            min_count=config.min_count,
        )
        if not config.gram_count:
            return cls(config, tokenizer, None)
        words = {word for text in normalised for word in text.split()}
        return cls(config, tokenizer, Subwords.train(words, min_count=config.gram_count))

    @classmethod
    def from_json(cls, config: ClassifierSettings, state: Any, tokenizer: Any) -> "TextInputs":
        """What `to_json` wrote, and the layout of the tokenizer."""
        if not isinstance(state, dict) or tokenizer is None:
            raise FormatError(
                "config.json, inputs: expected an object for words, and a tokenizer.json beside "
                f"it, found {type(state).__name__} and {'none' if tokenizer is None else 'one'}: "
                "restore the file from a copy"
            )
        subwords = subwords_from_json(state.get("subwords"))
        return cls(config, Tokenizer.from_json(tokenizer), subwords)

    def to_json(self) -> dict[str, Any]:
        """All but the tokenizer."""
        return {"subwords": None if self.subwords is None else list(self.subwords.grams)}

    def cut(self, text: str) -> int:
        """The end of a prefix of a text that is read the same whatever follows."""
        if not self._lowercase or self.tokenizer.kind == "word":
            return self.tokenizer.cut(text)
        # A letter in lower case may depend on those beside it, but not across white space.
        words = text.split()
        return text.rindex(words[-1]) - 1 if len(words) > 1 else 0

    def lexicon(self) -> Lexicon:
        """An empty one."""
        return Lexicon(self.tokenizer, self.subwords, normalise=self._normalise)


@dataclass(frozen=True, eq=False)
class Before:
    """The step before others, (F,) each: its numbers with gaps filled, and of marked numbers since
    how many steps there was none."""

    last: np.ndarray
    since: np.ndarray | None = None


class NumberInputs:
    """Mean and deviation of each feature, (F,) float32, over all steps of the training data.

    Features that are further inputs of the cell, the last ones, are read as they are. Where gaps
    are `marked`, steps have for each other feature whether there was a number, and how many steps
    before this one the last was, behind all.
    """

    def __init__(self, config: ClassifierSettings, mean: np.ndarray, deviation: np.ndarray) -> None:
        self._missing, self._standardise = config.missing, config.standardise
        self.mean, self.deviation = mean, deviation
        self.marks = self._missing == "marked"
        self.plain = _plain_features(config, len(mean))

    @property
    def features(self) -> int:
        """F."""
        return len(self.mean)

    @property
    def beside(self) -> int:
        """How many numbers of a step, the last ones, the layers read as they are."""
        return self.width - self.plain

    @property
    def width(self) -> int:
        """How many numbers the layers read of a step."""
        return self.features + (2 * self.plain if self.marks else 0)

    @classmethod
    def fit(cls, config: ClassifierSettings, arrays: Sequence[np.ndarray]) -> "NumberInputs":
        """From the training sequences alone.

        Raises:
            InputError: they have not the further inputs that the cell reads.
        """
        steps = np.concatenate(arrays).astype(np.float64)
        there = ~np.isnan(steps)
        count = np.maximum(there.sum(0), 1)
        mean = np.where(there, steps, 0).sum(0) / count
        deviation = np.sqrt(np.where(there, (steps - mean) ** 2, 0).sum(0) / count)
        deviation[deviation == 0] = 1  # a constant feature stays one
        plain = _plain_features(config, len(mean))
        mean[plain:], deviation[plain:] = 0, 1
        return cls(config, mean.astype(np.float32), deviation.astype(np.float32))

    @classmethod
    def from_json(cls, config: ClassifierSettings, state: Any) -> "NumberInputs":
        """What `to_json` wrote."""
        try:
            mean, deviation = (np.array(state[n], np.float32) for n in ("mean", "deviation"))
            if mean.ndim != 1 or not mean.size or mean.shape != deviation.shape:
                raise ValueError(f"shapes {mean.shape} and {deviation.shape}")
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                "config.json, inputs: expected a mean and a deviation of each feature, which "
                f"cannot be read ({reason(error)}): restore the file from a copy"
            ) from error
        return cls(config, mean, deviation)

    def to_json(self) -> dict[str, Any]:
        """The figures."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    def encode(self, array: np.ndarray, place: str) -> np.ndarray:
        """A sequence (T, F) as the network reads it: scaled, without gaps.

        Raises:
            InputError: other features than in training, or a missing value where that is an error.
        """
        return self.read(array, place)[0]

    def read(
        self, array: np.ndarray, place: str, before: Before | None = None
    ) -> tuple[np.ndarray, Before]:
        """Steps (T, F), T from 1 on, as the network reads them, and what later ones have to know.

        Raises:
            InputError: as `encode`.
        """
        self.check_features(array, place)
        filled = self.filled(array, place, None if before is None else before.last)
        scaled = self.scaled(filled)
        if not self.marks:
            return scaled, Before(filled[-1].copy())
        there = ~np.isnan(array[:, : self.plain])
        since = np.empty(there.shape, np.float32)
        waited = None if before is None else before.since
        for step, marks in enumerate(there):
            since[step] = 0 if waited is None else waited + 1
            waited = np.where(marks, np.float32(0), since[step])
        marked = np.concatenate([scaled, there.astype(scaled.dtype), since], axis=1)
        return marked, Before(filled[-1].copy(), waited)

    def check_features(self, array: np.ndarray, place: str) -> None:
        """Raise InputError where steps (T, F) have other features than in training."""
        if array.shape[1] != self.features:
            raise InputError(
                f"{place}: expected steps of {self.features} features, as in training, "
                f"received {array.shape[1]}"
            )

    def filled(self, array: np.ndarray, place: str, before: np.ndarray | None = None) -> np.ndarray:
        """Steps (T, F) with the last value that there was in the place of a missing one, where that
        is wanted; `before` (F,) is the step before them, likewise.

        Raises:
            InputError: a missing value where that is an error.
        """
        gaps = np.isnan(array)
        if not gaps.any():
            return array
        if self._missing == "error":
            step, feature = np.argwhere(gaps)[0]
            raise InputError(
                f"{place}: step {step + 1} has no value of feature {feature + 1}: give one, or "
                "choose missing=mean or last"
            )
        if self._missing == "mean":
            return array
        if before is not None:
            return self.filled(np.concatenate([before[None], array]), place)[1:]
        steps = np.where(gaps, 0, np.arange(len(array))[:, None])
        found: np.ndarray = np.take_along_axis(array, np.maximum.accumulate(steps), 0)
        return found

    def scaled(self, array: np.ndarray) -> np.ndarray:
        """Filled steps as the network reads them."""
        array = np.where(np.isnan(array), self.mean, array)
        return (array - self.mean) / self.deviation if self._standardise else array


def _plain_features(config: ClassifierSettings, features: int) -> int:
    """How many of the features of the data are no further inputs of the cell.

    Where gaps are marked, two numbers for each of these are further inputs too, or features as
    any: F = plain + given, and the cell reads given + 2 * plain.
    """
    further = config.architecture().program.further
    marked = config.missing == "marked"
    given = 2 * features - further if marked and further else further
    if 0 <= given < features:
        return features - given
    cell = f"cell: {config.cell} reads {further} further inputs"
    if not marked:
        raise InputError(
            f"{cell}, the last features of a sequence: expected more than {further} features, "
            f"received {features}"
        )
    raise InputError(
        f"{cell}; with missing=marked a step of {features} features has {features} marks and "
        f"{features} times beside them: expected {2 * features} further inputs, or fewer where the "
        "last features are some of them"
    )


def _normaliser(config: ClassifierSettings) -> Normaliser:
    punctuation = config.punctuation and config.tokenizer == "word"
    return Normaliser(lowercase=config.lowercase, punctuation=punctuation)
