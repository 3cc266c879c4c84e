"""Bag of words and TF-IDF with logistic regression: what order is worth is measured against."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from recurra.baselines.classifier.rival import parted, read
from recurra.baselines.protocol import Budget
from recurra.errors import FormatError, InputError
from recurra.given import NOTHING
from recurra.native import matmul
from recurra.storage import read_model, save_model
from recurra.tasks.classifier.data import classes_of, sort_labels
from recurra.tasks.classifier.scores import Classified
from recurra.tasks.classifier.settings import DataConfig
from recurra.text.lexicon import Normaliser

#: Inverse strengths of the penalty that are tried; the validation data choose.
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_TASK = "bag_of_words"


class BagOfWords:
    """Logistic regression on how often words occur, by scikit-learn.

    Words are lower case, punctuation apart. What is fitted are arrays; predicting needs no
    scikit-learn.

    Args:
        weighting: `counts`, or `tfidf`: counts times ln((1 + N) / (1 + N_w)) + 1, scaled to length
            1.
        ngrams: the longest run of words that counts as one.
        **settings: of the classifier; those of its data count.
    """

    def __init__(self, *, weighting: str = "tfidf", ngrams: int = 2, **settings: Any) -> None:
        if weighting not in ("counts", "tfidf"):
            raise InputError(f"weighting: expected counts or tfidf, received {weighting!r}")
        self.weighting, self.ngrams = weighting, ngrams
        self._settings = {n: v for n, v in settings.items() if n in DataConfig.names()}
        self.labels: tuple[str, ...] = ()
        self._vocabulary: dict[str, int] = {}
        self._idf = self._weight = self._bias = np.empty(0)
        self.strength = float("nan")
        self.left_out = NOTHING

    def fit(self, data: Any, *, valid: Any = None, budget: Budget = Budget()) -> None:
        """Train; the penalty is the one with which the held-out examples do best."""
        try:
            from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
            from sklearn.linear_model import LogisticRegression
        except ModuleNotFoundError as error:
            raise InputError(
                "a bag of words needs scikit-learn: pip install recurra[baselines]"
            ) from error
        train, held_out = parted(data, valid, {}, self._settings, seed=budget.seed)
        assert train.labels is not None
        self.left_out = train.left_out if valid is None else train.left_out + held_out.left_out
        self.labels = sort_labels(train.labels)
        vectorizer = CountVectorizer(analyzer=self._terms)
        counts = vectorizer.fit_transform(train.inputs)
        asked = vectorizer.transform(held_out.inputs)
        self._vocabulary = {term: int(k) for term, k in vectorizer.vocabulary_.items()}
        self._idf = np.ones(len(self._vocabulary))
        if self.weighting == "tfidf":
            scale = TfidfTransformer().fit(counts)
            counts, asked = scale.transform(counts), scale.transform(asked)
            self._idf = scale.idf_
        true, wanted = classes_of(train, self.labels), classes_of(held_out, self.labels)
        best = -1.0
        for strength in STRENGTHS:
            found = LogisticRegression(C=strength, max_iter=1000).fit(counts, true)
            score = found.score(asked, wanted)
            if score > best:
                best, self.strength = score, strength
                self._weight, self._bias = found.coef_, found.intercept_

    def predict_proba(self, inputs: Sequence[str]) -> np.ndarray:
        """The probability of every label for each text, (N, C)."""
        if not self.labels:
            raise InputError("this bag of words is not trained yet: call fit")
        logits = np.array([self._score(text) for text in inputs]).reshape(len(inputs), -1)
        if len(self.labels) == 2:
            logits = np.concatenate([np.zeros_like(logits), logits], 1)
        odds = np.exp(logits - logits.max(1, keepdims=True, initial=-np.inf))
        found: np.ndarray = odds / odds.sum(1, keepdims=True)
        return found

    def predict(self, inputs: Sequence[str]) -> list[str]:
        """The most probable label of each text."""
        return [self.labels[k] for k in self.predict_proba(inputs).argmax(1)]

    def evaluate(self, data: Any) -> Classified:
        """Measure it on texts with labels."""
        examples = read(data, {}, self._settings)
        true = classes_of(examples, self.labels)
        found = self.predict_proba(examples.inputs)
        return Classified.measure(true, found, self.labels, skipped=examples.skipped)

    @property
    def parameters(self) -> int:
        """Coefficients, intercepts, and the terms' weights where they are weighted."""
        weights = len(self._idf) if self.weighting == "tfidf" else 0
        return self._weight.size + self._bias.size + weights

    def save(self, directory: str | Path) -> Path:
        """Write a model directory: JSON and arrays."""
        terms = sorted(self._vocabulary, key=self._vocabulary.__getitem__)
        config = {
            "task": _TASK,
            "weighting": self.weighting,
            "ngrams": self.ngrams,
            "strength": self.strength,
            "labels": list(self.labels),
            "terms": terms,
        }
        tensors = {"idf": self._idf, "weight": self._weight, "bias": self._bias}
        small = {name: array.astype(np.float32) for name, array in tensors.items()}
        return save_model(directory, config=config, tensors=small)

    @classmethod
    def load(cls, directory: str | Path, **settings: Any) -> Self:
        """Read what `save` wrote."""
        files = read_model(directory)
        config = files.config
        if config["task"] != _TASK:
            raise FormatError(f"{files.path}: expected a bag of words, found {config['task']!r}")
        made = cls(weighting=config["weighting"], ngrams=config["ngrams"], **settings)
        made.strength, made.labels = config["strength"], tuple(config["labels"])
        made._vocabulary = {term: k for k, term in enumerate(config["terms"])}
        made._idf, made._weight, made._bias = (
            files.tensors[name].astype(np.float64) for name in ("idf", "weight", "bias")
        )
        return made

    def _score(self, text: str) -> np.ndarray:
        counts = Counter(self._terms(text))
        known = [(self._vocabulary[t], n) for t, n in counts.items() if t in self._vocabulary]
        rows = np.array([row for row, _ in known], np.int64)
        values = np.array([n for _, n in known], np.float64) * self._idf[rows]
        if self.weighting == "tfidf" and len(values):
            values /= np.sqrt((values * values).sum())
        score: np.ndarray = matmul(self._weight[:, rows], values) + self._bias
        return score

    def _terms(self, text: str) -> Iterator[str]:
        words = _NORMALISE(text).split()
        for size in range(1, self.ngrams + 1):
            for start in range(len(words) - size + 1):
                yield " ".join(words[start : start + size])


_NORMALISE = Normaliser(lowercase=True, punctuation=True)
