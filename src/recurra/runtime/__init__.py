"""Run models without torch."""

from recurra.runtime.language_model import Architecture, RuntimeLM
from recurra.runtime.scoring import Evaluation, Scorer, lines_nats, stream_nats

__all__ = ["Architecture", "Evaluation", "RuntimeLM", "Scorer", "lines_nats", "stream_nats"]
