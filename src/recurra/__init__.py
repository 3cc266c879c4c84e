"""Recurrent sequence models: write the recurrence once, train it fast, run it anywhere.

Importing this imports no torch; a name brings in what it needs when it is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from recurra import moved

if TYPE_CHECKING:
    from recurra.cells import cell
    from recurra.export import from_keras, from_onnx, from_torch, to_keras, to_torch
    from recurra.tasks.classifier import SequenceClassifier
    from recurra.tasks.forecaster import Forecaster
    from recurra.tasks.language_model import LanguageModel
    from recurra.tasks.tagger import SequenceTagger
    from recurra.tasks.transcriber import Transcriber
    from recurra.tasks.translator import Translator

__version__ = "0.1.0"  # pyproject.toml reads it here
__all__ = [
    "Forecaster",
    "LanguageModel",
    "SequenceClassifier",
    "SequenceTagger",
    "Transcriber",
    "Translator",
    "__version__",
    "cell",
    "from_keras",
    "from_onnx",
    "from_torch",
    "load",
    "to_keras",
    "to_torch",
]

_WHERE = {"cell": "recurra.cells", "from_onnx": "recurra.export"}
_WHERE |= {
    f"{way}_{library}": "recurra.export" for way in ("from", "to") for library in ("torch", "keras")
}


Model = TypeVar("Model")

moved.install()


@overload
def load(directory: str | Path, *, precision: str = "float32", expect: type[Model]) -> Model: ...
@overload
def load(directory: str | Path, *, precision: str = "float32", expect: None = None) -> Any: ...
def load(directory: str | Path, *, precision: str = "float32", expect: Any = None) -> Any:
    """Load a model directory, or the best model of a run, whatever its task. Needs no torch.

    A file `….onnx` is loaded as a `recurra.export.OnnxModel`.

    Args:
        directory: its path.
        precision: of the layers' products, whatever it was trained in: `bf16` on CPUs that have
            such products; not for ONNX files.
        expect: the class that the model has to be of, such as `recurra.SequenceTagger`; a type
            checker then knows what is returned.

    Raises:
        InputError: there is no model at that path, or the precision cannot be had.
        FormatError: it is damaged, foreign, from a newer version, or not what was expected.
    """
    from recurra.bounded import is_folder
    from recurra.errors import FormatError, InputError
    from recurra.given import path_of
    from recurra.storage import read_model
    from recurra.tasks.catalog import from_files

    directory = path_of(directory, "load", "the path of a model directory or of a run")
    if directory.suffix == ".onnx" and not is_folder(directory):
        from recurra.export import OnnxModel

        if precision != "float32":
            raise InputError(
                f"{directory}: an ONNX file computes in the dtype of its weights, received "
                f"precision {precision!r}: leave it out"
            )
        model: Any = OnnxModel.load(directory)
    else:
        model = from_files(read_model(directory), precision=precision)
    if expect is not None and not isinstance(model, expect):
        raise FormatError(
            f"{directory}: expected a {expect.__name__}, found a {type(model).__name__}: give the "
            "path of another model, or leave expect out"
        )
    return model


def __getattr__(name: str) -> Any:
    if name in ("export", "inspect", "nn"):
        return import_module(f"recurra.{name}")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    from recurra.tasks.catalog import by_model

    entry = by_model(name)
    if entry is None:
        raise AttributeError(f"module 'recurra' has no attribute {name!r}")
    return entry.load()


def __dir__() -> list[str]:
    return sorted([*__all__, "export", "inspect", "nn"])
