"""Language models of characters, bytes, words and subwords."""

from recurra.tasks.language_model.dynamic_settings import DynamicConfig
from recurra.tasks.language_model.settings import DataConfig, LanguageModelConfig
from recurra.tasks.language_model.task import LanguageModel
from recurra.tasks.language_model.text_model import TextModel

__all__ = ["DataConfig", "DynamicConfig", "LanguageModel", "LanguageModelConfig", "TextModel"]
