"""A graph of ONNX operators under construction."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from recurra.errors import InputError

#: Versions that runtimes read since 2022. Recurrent operators have gained a dtype since, no more.
OPSET, IR_VERSION = 17, 8

#: What a protobuf message may hold.
LARGEST = (1 << 31) - 1


def library() -> ModuleType:
    """The package `onnx`, or an error that says how to get it."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise InputError("ONNX files need the package onnx: pip install recurra[onnx]") from error
    return onnx


class Graph:
    """Nodes and constants, with names made as needed.

    A body of a `Scan` is a graph inside another: it has nodes of its own, and the names and
    constants of the outermost.
    """

    def __init__(self, name: str, dtype: np.dtype, outer: "Graph | None" = None) -> None:
        self.name, self.dtype, self.nodes = name, dtype, list[Any]()
        self._root: Graph = outer._root if outer else self
        self._constants: dict[str, np.ndarray] = {}
        self._count = 0

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
        *,
        name: str = "",
    ) -> str:
        """Append a node with one output, which may be given a name; return that."""
        return self.add_many(op, inputs, attributes, [name or self.fresh(op)])[0]

    def add_many(
        self,
        op: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any] | None,
        outputs: Sequence[str],
    ) -> Sequence[str]:
        """Append a node with the outputs of these names; return them."""
        made = library().helper.make_node(op, inputs, outputs, name=outputs[0], **attributes or {})
        self.nodes.append(made)
        return outputs

    def fresh(self, kind: str) -> str:
        """A name that no value has yet."""
        self._root._count += 1
        return f"{kind}_{self._root._count}"

    def constant(self, array: np.ndarray, name: str = "") -> str:
        """Put an array into the file, unless it is there already; return its name."""
        known = self._root._constants
        if not name:
            for other, held in known.items():
                if held is array or (array.size < 16 and _same(held, array)):
                    return other
        name = name or self.fresh("constant")
        known[name] = array
        return name

    def integers(self, *values: int) -> str:
        """A constant of whole numbers, (n,)."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A constant number of the graph's dtype."""
        return self.constant(np.array(value, self.dtype))

    def body(self, inputs: Sequence[tuple[str, Any]], outputs: Sequence[tuple[str, Any]]) -> Any:
        """This graph as the value of an attribute; inputs and outputs by name, with dtypes."""
        return library().helper.make_graph(self.nodes, self.name, _values(inputs), _values(outputs))

    def model(
        self,
        inputs: Sequence[tuple[str, Any, Sequence[int | str]]],
        outputs: Sequence[tuple[str, Any, Sequence[int | str]]],
        notes: Mapping[str, str],
    ) -> bytes:
        """This graph as the bytes of a file.

        Raises:
            InputError: it is larger than a file of ONNX can be.
        """
        from recurra import __version__

        onnx = library()
        size = sum(array.nbytes for array in self._constants.values())
        if size > LARGEST - (1 << 20):
            raise InputError(f"ONNX files hold less than 2 GiB, the model has {size:,} bytes")
        tensors = [onnx.numpy_helper.from_array(a, name) for name, a in self._constants.items()]
        graph = onnx.helper.make_graph(
            self.nodes, self.name, _values(inputs), _values(outputs), tensors
        )
        made = onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="recurra",
            producer_version=__version__,
        )
        onnx.helper.set_model_props(made, {f"recurra.{k}": v for k, v in notes.items()})
        return bytes(made.SerializeToString(deterministic=True))


def _values(named: Sequence[tuple[Any, ...]]) -> list[Any]:
    helper = library().helper
    return [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape[0] if shape else None
        )
        for name, dtype, *shape in named
    ]


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
