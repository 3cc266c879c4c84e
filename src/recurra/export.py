"""Models and layers to other libraries and back. Each name brings in what it needs when used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.interop.keras import from_keras, to_keras
    from recurra.interop.onnx.files import onnx
    from recurra.interop.onnx.layers import from_onnx
    from recurra.interop.onnx.run import OnnxModel
    from recurra.interop.torch import from_torch, to_torch

__path__: list[str] = []  # modules that were here go on under their old names: see `recurra.moved`
__all__ = ["OnnxModel", "from_keras", "from_onnx", "from_torch", "onnx", "to_keras", "to_torch"]

_HOMES = {
    "OnnxModel": "onnx.run",
    "from_keras": "keras",
    "from_onnx": "onnx.layers",
    "from_torch": "torch",
    "onnx": "onnx.files",
    "to_keras": "keras",
    "to_torch": "torch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recurra.export' has no attribute {name!r}")
    return getattr(import_module(f"recurra.interop.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
