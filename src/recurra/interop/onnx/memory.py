"""How much an ONNX graph may hold and compute: few bytes must not ask for all memory, or all time.

Memory and work are estimated before an operator runs, from the shapes of what it reads.
"""

import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.bounded import limit
from recurra.errors import InputError
from recurra.interop.onnx.recurrence import GATES

Array = Any  # numpy.ndarray, or None where a node leaves an input out


#: Operations that running a node costs besides, whatever it computes: ten to twenty microseconds,
#: in which a product of matrices computes so many.
NODE = 1 << 17
#: Operations of a product of matrices in the time of one on a number by itself, read from memory.
SINGLE = 8


class Room:
    """Counts the bytes of the arrays that nodes have made and that still live, and their work.

    Args:
        weights, inputs: the file's constants, and what is given to this run. The room grows with
            their bytes.
        nodes: that run once, on as many numbers as are given.
        stepped: nodes of the bodies of loops, and the loops. A layer runs each of them at most once
            a step, of which there are no more than the longest axis of an input is long, and
            multiplies each of its weights at most once for each number it is given: with these
            the work grows.
    """

    def __init__(
        self,
        weights: Iterable[np.ndarray],
        inputs: Iterable[np.ndarray],
        nodes: int = 1,
        stepped: int = 0,
    ) -> None:
        kept, given = list(weights), list(inputs)
        size = sum(a.nbytes for a in (*kept, *given))
        self._most = max(limit("onnx_memory"), limit("onnx_growth") * size)
        longest = max((n for a in given for n in a.shape), default=0)
        honest = NODE * (nodes + stepped * (1 + longest))
        honest += (SINGLE * nodes + sum(a.size for a in kept)) * sum(a.size for a in given)
        self._most_work = max(limit("onnx_work"), limit("onnx_work_growth") * honest)
        self._work = self._most_work
        self._steps = limit("scan_steps")
        self._held = 0
        self._arrays: dict[int, weakref.ref[np.ndarray]] = {}

    def need(self, size: int) -> None:
        """Raise InputError unless `size` more bytes fit."""
        if self._held + size > self._most:
            raise InputError(
                f"asks for {self._held + size:,} bytes, more than the {self._most:,} that this "
                "model may hold: give shorter inputs, or set RECURRA_LIMIT_ONNX_MEMORY"
            )

    def work(self, count: int) -> None:
        """Count operations. Raise InputError where there are more than this run may have."""
        self._work -= count
        if self._work < 0:
            raise InputError(
                f"asks for more than the {self._most_work:,} operations that one run of this model "
                "may take: give shorter inputs, or set RECURRA_LIMIT_ONNX_WORK"
            )

    def step(self) -> None:
        """Count one step of a Scan."""
        self._steps -= 1
        if self._steps < 0:
            raise InputError(
                f"asks for more than {limit('scan_steps'):,} steps: "
                "give shorter inputs, or set RECURRA_LIMIT_SCAN_STEPS"
            )

    def hold(self, array: np.ndarray, read: Sequence[Array]) -> None:
        """Count an array made from those `read`, unless it is a view of one, until it goes."""
        root = _root(array)
        key = id(root)
        if key in self._arrays or any(a is not None and _root(a) is root for a in read):
            return
        size = root.nbytes + 128  # what an array takes besides its numbers

        def gone(_: object) -> None:
            self._held -= size
            self._arrays.pop(key, None)

        self._arrays[key] = weakref.ref(root, gone)
        self._held += size


def required(op: str, inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    """The bytes that an operator will make of these inputs, computed before it runs."""
    kept = [a for a in inputs if a is not None]
    width = 8 if op == "Cast" else max((a.itemsize for a in kept), default=8)
    return width * _ELEMENTS.get(op, _broadcast)(kept, attributes)


def effort(op: str, inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    """The operations that an operator will take on these inputs, about."""
    kept = [a for a in inputs if a is not None]
    if op in GATES:
        X, W, R = kept[:3]
        # Every step of every row multiplies all weights.
        return NODE + math.prod(X.shape[:2]) * (int(W.size) + int(R.size))
    if op in ("MatMul", "Gemm"):
        inner = kept[0].shape[0 if attributes.get("transA", 0) else -1]
        return NODE + _ELEMENTS[op](kept, attributes) * inner
    if _ELEMENTS.get(op) is _view:
        return NODE
    read = sum(int(a.size) for a in kept)
    return NODE + SINGLE * (read + _ELEMENTS.get(op, _broadcast)(kept, attributes))


def _root(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _broadcast(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    return math.prod(np.broadcast_shapes(*(a.shape for a in inputs)))


def _first(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    return int(inputs[0].size)


def _view(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    return 0


def _reshaped(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    return 0 if inputs[0].flags.c_contiguous else int(inputs[0].size)


def _concat(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    return sum(int(a.size) for a in inputs)


def _gather(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    value, indices = inputs
    axis = attributes.get("axis", 0)
    left = value.shape[:axis] + value.shape[axis:][1:]
    return math.prod(left) * int(indices.size)


def _one_hot(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    return int(inputs[0].size) * max(0, int(inputs[1].reshape(()).item()))


def _matmul(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    a, b = (x.shape for x in inputs)
    a, b = (1, *a) if len(a) == 1 else a, (*b, 1) if len(b) == 1 else b
    count = math.prod(np.broadcast_shapes(a[:-2], b[:-2]))
    # Stacked operands are copied, one for each of the stack.
    copied = math.prod(a[-2:]) + math.prod(b[-2:]) if len(b) > 2 else 0
    return count * (a[-2] * b[-1] + copied)


def _gemm(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    rows = inputs[0].shape[1 if attributes.get("transA", 0) else 0]
    columns = inputs[1].shape[0 if attributes.get("transB", 0) else 1]
    return math.prod(np.broadcast_shapes((rows, columns), *(c.shape for c in inputs[2:])))


def _layer_norm(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
    value = inputs[0]
    rows = math.prod(value.shape[: attributes.get("axis", -1)])
    return int(value.size) + 2 * rows  # the mean and the scale of each row are outputs, too


def _recurrent(gates: int) -> "_Elements":
    def elements(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> int:
        X, R = inputs[0], inputs[2]
        wide, hidden = R.shape[0], R.shape[-1]
        # The products of all steps, the outputs of each direction, and Y.
        return math.prod(X.shape[:2]) * wide * hidden * (gates + 2) + int(X.size)

    return elements


_Elements = Callable[[Sequence[Array], Mapping[str, Any]], int]

#: Where the result is not as large as all inputs broadcast. Those that make an array of a shape
#: that is an input (ConstantOfShape, Range) check that themselves.
_ELEMENTS: dict[str, _Elements] = {
    **dict.fromkeys(("Constant", "ConstantOfShape", "Range", "Shape", "Expand", "Scan"), _view),
    **dict.fromkeys(("Slice", "Split", "Squeeze", "Unsqueeze", "Transpose"), _view),
    **dict.fromkeys(("Identity", "Dropout"), _view),
    **dict.fromkeys(("Reshape", "Flatten"), _reshaped),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceProd", "ReduceSum"), _first),
    "Concat": _concat,
    "Gather": _gather,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "OneHot": _one_hot,
    **{op: _recurrent(gates) for op, gates in GATES.items()},
}
