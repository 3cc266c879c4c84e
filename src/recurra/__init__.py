"""Recurrent sequence models: write the recurrence once, train it fast, run it anywhere.

Importing this imports no torch; a name brings in what it needs when it is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.cells import cell
    from recurra.tasks.language_model import LanguageModel

__version__ = "0.1.0"
__all__ = ["LanguageModel", "__version__", "cell", "load"]

_WHERE = {"LanguageModel": "recurra.tasks.language_model", "cell": "recurra.cells"}
_TASKS = {"language_model": "LanguageModel"}


def load(directory: str | Path, *, precision: str = "float32") -> "LanguageModel":
    """Load a model directory, or the best model of a run, whatever its task. Needs no torch.

    Args:
        directory: its path.
        precision: of the layers' products, whatever it was trained in: `bf16` on CPUs that have
            such products.

    Raises:
        InputError: there is no model at that path, or the precision cannot be had.
        FormatError: it is damaged, foreign, or from a newer version.
    """
    from recurra.errors import FormatError
    from recurra.storage import read_model

    files = read_model(directory)
    name = _TASKS.get(files.config["task"])
    if name is None:
        raise FormatError(
            f"{files.path}: a model of the task {files.config['task']!r}, which this version does "
            f"not know (it knows {', '.join(_TASKS)}): upgrade"
        )
    return __getattr__(name).from_files(files, precision=precision)


def __getattr__(name: str) -> Any:
    if name == "nn":
        return import_module("recurra.nn")
    if name not in _WHERE:
        raise AttributeError(f"module 'recurra' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "nn"])
