"""Language models of characters, bytes, words and subwords."""

from recurra.tasks.language_model.config import DataConfig, LanguageModelConfig
from recurra.tasks.language_model.model import LanguageModel
from recurra.tasks.language_model.text_model import TextModel
from recurra.train.dynamic_config import DynamicConfig

__all__ = ["DataConfig", "DynamicConfig", "LanguageModel", "LanguageModelConfig", "TextModel"]
