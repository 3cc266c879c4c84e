"""ONNX's own tests of single operators, as its wheel ships them."""

import importlib
import pkgutil
import warnings
from collections.abc import Collection
from typing import Any

import onnx.backend.test.case.node as node_tests


def cases(operators: Collection[str]) -> list[Any]:
    """The test cases of some operators: models of one node with inputs and outputs."""
    wanted = {name.lower() for name in operators}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they overflow, and say so
        for module in pkgutil.iter_modules(node_tests.__path__):
            if module.name.replace("_", "").removesuffix("op") in wanted:
                importlib.import_module(f"{node_tests.__name__}.{module.name}")
    found = [c for c in node_tests._NodeTestCases if len(c.model.graph.node) == 1]
    return [c for c in found if c.model.graph.node[0].op_type in operators]
