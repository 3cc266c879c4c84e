"""Classification of texts and of sequences of numbers."""

from recurra.tasks.classifier.settings import (
    DataConfig,
    PredictionConfig,
    SequenceClassifierConfig,
)
from recurra.tasks.classifier.task import LabelPrediction, SequenceClassifier

__all__ = [
    "DataConfig",
    "LabelPrediction",
    "PredictionConfig",
    "SequenceClassifier",
    "SequenceClassifierConfig",
]
