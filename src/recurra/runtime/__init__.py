"""Run models without torch."""

from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.language_model import RuntimeLM
from recurra.runtime.scoring import (
    Evaluation,
    Scorer,
    lines_nats,
    stream_log_probabilities,
    stream_nats,
)
from recurra.runtime.stack import RuntimeStack

__all__ = [
    "Architecture",
    "Evaluation",
    "RuntimeLM",
    "RuntimeStack",
    "Scorer",
    "Weights",
    "lines_nats",
    "stream_log_probabilities",
    "stream_nats",
]
