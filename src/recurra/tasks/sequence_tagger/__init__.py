"""Taggers of sentences: parts of speech, named entities, any label a word."""

from recurra.tasks.sequence_tagger.config import DataConfig, SequenceTaggerConfig
from recurra.tasks.sequence_tagger.model import SequenceTagger

__all__ = ["DataConfig", "SequenceTagger", "SequenceTaggerConfig"]
