"""Taggers of sentences: parts of speech, named entities, any label a word."""

from functools import partial

from recurra import moved
from recurra.tasks.tagger.settings import TaggerData, TaggerSettings
from recurra.tasks.tagger.task import SequenceTagger

__all__ = ["SequenceTagger", "TaggerData", "TaggerSettings"]

__getattr__ = partial(moved.lookup, __name__)
