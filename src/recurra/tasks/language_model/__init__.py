"""Language models of characters, bytes, words and subwords."""

from recurra.tasks.language_model.config import DataConfig, LanguageModelConfig
from recurra.tasks.language_model.model import LanguageModel

__all__ = ["DataConfig", "LanguageModel", "LanguageModelConfig"]
