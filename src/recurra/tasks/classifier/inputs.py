"""What of the training inputs a classifier remembers, to read others in the same way."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.tasks.classifier.settings import SequenceClassifierConfig
from recurra.text import Tokenizer, train_tokenizer
from recurra.text.lexicon import Lexicon, Normaliser, Subwords, subwords_from_json


class TextInputs:
    """A tokenizer, and the character n-grams of words where these count."""

    def __init__(
        self, config: SequenceClassifierConfig, tokenizer: Tokenizer, subwords: Subwords | None
    ) -> None:
        self.tokenizer, self.subwords = tokenizer, subwords
        self._normalise = _normaliser(config)

    @classmethod
    def fit(
        cls,
        config: SequenceClassifierConfig,
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
    def from_json(
        cls, config: SequenceClassifierConfig, state: Any, tokenizer: Any
    ) -> "TextInputs":
        """What `to_json` wrote, and the layout of the tokenizer."""
        if not isinstance(state, dict) or tokenizer is None:
            raise FormatError(
                "config.json, inputs: expected an object for words, and a tokenizer.json beside "
                f"it, found {type(state).__name__} and {'none' if tokenizer is None else 'one'}"
            )
        subwords = subwords_from_json(state.get("subwords"))
        return cls(config, Tokenizer.from_json(tokenizer), subwords)

    def to_json(self) -> dict[str, Any]:
        """All but the tokenizer."""
        return {"subwords": None if self.subwords is None else list(self.subwords.grams)}

    def lexicon(self) -> Lexicon:
        """An empty one."""
        return Lexicon(self.tokenizer, self.subwords, normalise=self._normalise)


class NumberInputs:
    """Mean and deviation of each feature, (F,) float32, over all steps of the training data."""

    def __init__(
        self, config: SequenceClassifierConfig, mean: np.ndarray, deviation: np.ndarray
    ) -> None:
        self._missing, self._standardise = config.missing, config.standardise
        self.mean, self.deviation = mean, deviation

    @property
    def features(self) -> int:
        """F."""
        return len(self.mean)

    @classmethod
    def fit(cls, config: SequenceClassifierConfig, arrays: Sequence[np.ndarray]) -> "NumberInputs":
        """From the training sequences alone."""
        steps = np.concatenate(arrays).astype(np.float64)
        there = ~np.isnan(steps)
        count = np.maximum(there.sum(0), 1)
        mean = np.where(there, steps, 0).sum(0) / count
        deviation = np.sqrt(np.where(there, (steps - mean) ** 2, 0).sum(0) / count)
        deviation[deviation == 0] = 1  # a constant feature stays one
        return cls(config, mean.astype(np.float32), deviation.astype(np.float32))

    @classmethod
    def from_json(cls, config: SequenceClassifierConfig, state: Any) -> "NumberInputs":
        """What `to_json` wrote."""
        try:
            mean, deviation = (np.array(state[n], np.float32) for n in ("mean", "deviation"))
            if mean.ndim != 1 or not mean.size or mean.shape != deviation.shape:
                raise ValueError(f"shapes {mean.shape} and {deviation.shape}")
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                "config.json, inputs: expected a mean and a deviation of each feature, which "
                f"cannot be read: {error}"
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
        if array.shape[1] != self.features:
            raise InputError(
                f"{place}: expected steps of {self.features} features, as in training, "
                f"received {array.shape[1]}"
            )
        gaps = np.isnan(array)
        if gaps.any():
            if self._missing == "error":
                step, feature = np.argwhere(gaps)[0]
                raise InputError(
                    f"{place}: step {step + 1} has no value of feature {feature + 1}: give one, or "
                    "choose missing=mean or last"
                )
            if self._missing == "last":
                steps = np.where(gaps, 0, np.arange(len(array))[:, None])
                array = np.take_along_axis(array, np.maximum.accumulate(steps), 0)
            array = np.where(np.isnan(array), self.mean, array)
        return (array - self.mean) / self.deviation if self._standardise else array


def _normaliser(config: SequenceClassifierConfig) -> Normaliser:
    punctuation = config.punctuation and config.tokenizer == "word"
    return Normaliser(lowercase=config.lowercase, punctuation=punctuation)
