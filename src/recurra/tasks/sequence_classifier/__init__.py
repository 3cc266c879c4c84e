"""Classification of texts and of sequences of numbers."""

from recurra.tasks.sequence_classifier.config import (
    DataConfig,
    PredictionConfig,
    SequenceClassifierConfig,
)
from recurra.tasks.sequence_classifier.model import Prediction, SequenceClassifier

__all__ = [
    "DataConfig",
    "Prediction",
    "PredictionConfig",
    "SequenceClassifier",
    "SequenceClassifierConfig",
]
