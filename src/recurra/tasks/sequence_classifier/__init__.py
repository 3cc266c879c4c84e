"""Classification of texts and of sequences of numbers."""

from recurra.tasks.sequence_classifier.config import (
    DataConfig,
    PredictionConfig,
    SequenceClassifierConfig,
)
from recurra.tasks.sequence_classifier.model import LabelPrediction, SequenceClassifier

__all__ = [
    "DataConfig",
    "LabelPrediction",
    "PredictionConfig",
    "SequenceClassifier",
    "SequenceClassifierConfig",
]
