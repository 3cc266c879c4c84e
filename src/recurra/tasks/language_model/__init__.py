"""Language models of characters, bytes, words and subwords."""

from functools import partial

from recurra import moved
from recurra.tasks.language_model.dynamic_settings import DynamicSettings
from recurra.tasks.language_model.settings import LanguageModelData, LanguageModelSettings
from recurra.tasks.language_model.task import LanguageModel
from recurra.tasks.language_model.text_model import TextModel

__all__ = [
    "DynamicSettings",
    "LanguageModel",
    "LanguageModelData",
    "LanguageModelSettings",
    "TextModel",
]

__getattr__ = partial(moved.lookup, __name__)
