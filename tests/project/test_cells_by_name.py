"""No module but the cell's own knows a cell by name, except the faces whose job is that name."""

import ast

from conftest import ROOT
from recurra import native

SOURCE = ROOT / "src" / "recurra"
#: Why a module names cells, by its path.
FACES = {
    "nn/layers.py": "recurra.nn.RNN, LSTM, GRU",
    "nn/cells.py": "recurra.nn.RNNCell, LSTMCell, GRUCell",
    "keras/": "Keras' layers have these names",
    "interop/layouts.py": "weights of other libraries, by cell",
    "interop/keras.py": "layers of Keras, by cell",
    "interop/modules.py": "layers of ours, by cell",
    "interop/torch.py": "layers of torch, by cell",
    "interop/onnx/scan.py": "a Scan without metadata may be a cell that comes compiled",
    "interop/onnx/operators.py": "ONNX has operators of these names",
    "ops/fused.py": "torch has kernels of these names",
    "baselines/catalog.py": "whom a task's comparison is between by default",
    "tasks/network.py": "the cell that a task has by default",
    "tasks/tagger/settings.py": "the cell that a task has by default",
    "tasks/forecaster/settings.py": "the cell that a task has by default",
}


def names_in(path):
    """Names of built-in cells as texts of their own, and as imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and node.value in native.BUILT_IN:
            found.add(node.value)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("recurra.cells"):
            found |= {alias.name for alias in node.names} & native.BUILT_IN.keys()
    return found


def test_only_the_faces_name_cells():
    naming = {
        str(path.relative_to(SOURCE)): sorted(names_in(path))
        for path in sorted(SOURCE.rglob("*.py"))
        if path.relative_to(SOURCE).parts[0] != "cells" and names_in(path)
    }
    others = {
        path: names
        for path, names in naming.items()
        if not any(path == face or (face.endswith("/") and path.startswith(face)) for face in FACES)
    }
    assert others == {}
    for face in FACES:
        assert any(path.startswith(face) for path in naming), f"{face} names no cell any more"
