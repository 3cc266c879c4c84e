"""What a cell's nodes in an ONNX graph have to be, to compare a file's with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.interop.onnx.equations import Equations
from recurra.interop.onnx.graph import Graph


class Pattern(Graph):
    """A graph of what a cell's nodes have to be."""

    def __init__(self) -> None:
        super().__init__("pattern", np.dtype(np.float32))
        self.made: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}
        self.values: dict[str, np.ndarray] = {}
        self.weights: dict[str, tuple[str, tuple[str, ...] | None, bool]] = {}

    def add_many(
        self,
        op: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any] | None,
        outputs: Sequence[str],
    ) -> Sequence[str]:
        """Note a node."""
        self.made[outputs[0]] = op, tuple(inputs), dict(attributes or {})
        return outputs

    def constant(self, array: np.ndarray, name: str = "") -> str:
        """Note a constant."""
        name = self.fresh("constant")
        self.values[name] = array
        return name


class Wanted(Equations):
    """A program that writes where its weights have to be, and not what they are."""

    def _parameter(
        self, graph: Graph, name: str, gates: tuple[str, ...] | None = None, *, turn: bool = False
    ) -> str:
        assert isinstance(graph, Pattern)
        place = graph.fresh("weight")
        graph.weights[place] = name, gates, turn
        return place
