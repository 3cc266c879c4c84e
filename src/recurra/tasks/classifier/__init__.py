"""Classification of texts and of sequences of numbers."""

from functools import partial

from recurra import moved
from recurra.tasks.classifier.settings import (
    ClassifierData,
    ClassifierOptions,
    ClassifierSettings,
)
from recurra.tasks.classifier.task import LabelPrediction, SequenceClassifier

__all__ = [
    "ClassifierData",
    "ClassifierOptions",
    "ClassifierSettings",
    "LabelPrediction",
    "SequenceClassifier",
]

__getattr__ = partial(moved.lookup, __name__)
