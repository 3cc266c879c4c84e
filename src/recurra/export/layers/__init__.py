"""Recurrent layers as torch modules, from other libraries and back. The only torch in `export`."""

from recurra.export.layers.of_keras import from_keras, to_keras
from recurra.export.layers.of_onnx import from_onnx
from recurra.export.layers.of_torch import from_torch, to_torch

__all__ = ["from_keras", "from_onnx", "from_torch", "to_keras", "to_torch"]
