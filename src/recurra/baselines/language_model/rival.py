"""What the language models beside the recurrent one share: files that are kept and written."""

from pathlib import Path
from typing import Self

from recurra.errors import InputError
from recurra.storage import ModelFiles, read_model
from recurra.tasks.copies import Copied
from recurra.tasks.language_model import TextModel


class TextRival(Copied, TextModel):
    """Base of a language model that is kept as a model directory."""

    #: What messages call it.
    title: str
    _files: ModelFiles | None = None

    def _take(self, files: ModelFiles) -> None:
        """Be the model of these files."""
        self._files = files
        for name in ("tokenizer", "runtime", "_text_reader"):
            self.__dict__.pop(name, None)

    @property
    def files(self) -> ModelFiles:
        """What its model directory holds; InputError where it is not trained."""
        if self._files is None:
            raise InputError(f"this {self.title} is not trained yet: call fit, or load")
        return self._files

    def save(self, directory: str | Path) -> Path:
        """Write the model directory, replacing an older one in one step; returns its path."""
        return self.files.save(directory)

    @classmethod
    def load(cls, directory: str | Path, *, precision: str = "float32") -> Self:
        """Read what `save` wrote; arguments and errors as of `recurra.load`."""
        return cls.from_files(read_model(directory), precision=precision)

    @classmethod
    def from_files(cls, files: ModelFiles, *, precision: str = "float32") -> Self:
        """The model that `read_model` read."""
        raise NotImplementedError
