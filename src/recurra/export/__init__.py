"""Models and layers to other libraries and back. Each name brings in what it needs when used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.export.files import onnx
    from recurra.export.layers import from_keras, from_onnx, from_torch, to_keras, to_torch
    from recurra.export.onnx_model import OnnxModel

__all__ = ["OnnxModel", "from_keras", "from_onnx", "from_torch", "onnx", "to_keras", "to_torch"]

_WHERE = {
    "OnnxModel": "onnx_model",
    "from_keras": "layers",
    "from_onnx": "layers",
    "from_torch": "layers",
    "onnx": "files",
    "to_keras": "layers",
    "to_torch": "layers",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'recurra.export' has no attribute {name!r}")
    return getattr(import_module(f"recurra.export.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
