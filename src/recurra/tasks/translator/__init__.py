"""Translation from sequences to sequences: languages, spelling to sound, and the like."""

from functools import partial

from recurra import moved
from recurra.tasks.translator.alignment import Alignment
from recurra.tasks.translator.settings import TranslationOptions, TranslatorData, TranslatorSettings
from recurra.tasks.translator.task import Translation, Translator, TranslatorScores

__all__ = [
    "Alignment",
    "Translation",
    "TranslationOptions",
    "Translator",
    "TranslatorData",
    "TranslatorScores",
    "TranslatorSettings",
]

__getattr__ = partial(moved.lookup, __name__)
