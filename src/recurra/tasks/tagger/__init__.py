"""Taggers of sentences: parts of speech, named entities, any label a word."""

from recurra.tasks.tagger.settings import DataConfig, SequenceTaggerConfig
from recurra.tasks.tagger.task import SequenceTagger

__all__ = ["DataConfig", "SequenceTagger", "SequenceTaggerConfig"]
