"""Translation from sequences to sequences: languages, spelling to sound, and the like."""

from recurra.tasks.translator.alignment import Alignment
from recurra.tasks.translator.settings import DataConfig, TranslationOptions, TranslatorConfig
from recurra.tasks.translator.task import Translation, TranslationScores, Translator

__all__ = [
    "Alignment",
    "DataConfig",
    "Translation",
    "TranslationOptions",
    "TranslationScores",
    "Translator",
    "TranslatorConfig",
]
