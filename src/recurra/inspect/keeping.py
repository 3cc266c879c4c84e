"""How much of its old value a state keeps in a step, unit by unit, for any cell.

The factor is the slope of a state's new value by its old one, with gates, candidates and recurrent
products held as they are: an LSTM's f, a GRU's z, 1 - f of a minimal gated unit, 0 of a plain cell.
"""

from collections.abc import Callable, Mapping

import numpy as np

from recurra.cells.graph import OVER_UNITS, Node, Program
from recurra.cells.matrices import plain
from recurra.errors import InputError
from recurra.matrices import plain_parameters, units
from recurra.reference.library import library_of, pointwise

#: What mixes units, or is a product: held as it is.
_HELD = frozenset(
    ("affine", "gate", "raw", "weight", "learnt", "input", "project", "norm", *OVER_UNITS)
)


def kept(
    program: Program,
    weights: Mapping[str, np.ndarray],
    visible: Mapping[str, np.ndarray],
    before: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The factors (N, H) of the states that keep something of themselves, by name.

    Args:
        program: the cell's.
        weights: its parameters.
        visible: what it names, (N, H) each.
        before: the states before each step, (N, ·), by name.

    Raises:
        InputError: the factor is a product that the cell gives no name.
    """
    walk = _Walk(plain(program), plain_parameters(program, weights), visible, before)
    found = {}
    for state, index in zip(walk.program.states, walk.program.next, strict=True):
        slope = walk.slope(index, state)
        if not (isinstance(slope, float) and slope == 0):
            found[state] = np.broadcast_to(slope, before[state].shape)
    return found


class _Walk:
    """Values and slopes of nodes, each computed when it is first needed."""

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, np.ndarray],
        visible: Mapping[str, np.ndarray],
        before: Mapping[str, np.ndarray],
    ) -> None:
        self.program, self._weights, self._before = program, weights, before
        self._named = {i: visible[n] for n, i in program.visible if n in visible}
        self._fixed = {i for n, i in program.visible if n not in program.states}

    def value(self, index: int) -> np.ndarray | float:
        """The value of a node; a recurrent product has none here, and is not needed."""
        node = self.program.nodes[index]
        if index in self._named:
            return self._named[index]
        if node.op == "state":
            return self._before[node.name]
        if node.op == "constant":
            return float(node.value)
        if node.op == "weight":
            return self._weights[f"peephole_{node.name}"]
        if node.op == "learnt":
            value = self._weights[f"learnt_{node.name}"]
            return np.broadcast_to(value, (units(self.program, self._weights),))
        if node.op in _HELD:
            raise InputError(
                f"time_constant: the cell {self.program.cell} keeps a state by a product that its "
                "equations give no name: return it with the gates"
            )
        with np.errstate(all="ignore"):
            return pointwise(_NUMPY, node.op, [self.value(a) for a in node.args])

    def slope(self, index: int, state: str) -> np.ndarray | float:
        """The slope of a node by the old value of a state; 0.0 where it does not depend on it."""
        node = self.program.nodes[index]
        if node.op == "state":
            return 1.0 if node.name == state else 0.0
        if index in self._fixed or node.op in _HELD or node.op == "constant":
            return 0.0
        slopes = [self.slope(a, state) for a in node.args]
        if all(isinstance(s, float) and s == 0 for s in slopes):
            return 0.0
        match node.op:
            case "add":
                return slopes[0] + slopes[1]
            case "sub":
                return slopes[0] - slopes[1]
            case "neg":
                return -slopes[0]
            case "mul":
                return self._product(node, slopes)
            case "div":
                top, bottom = self.value(node.args[0]), self.value(node.args[1])
                return (slopes[0] - slopes[1] * top / bottom) / bottom
            case "where":
                one, other = self.value(node.args[0]), self.value(node.args[1])
                return np.where(np.greater(one, other), slopes[2], slopes[3])
            case "maximum" | "minimum":
                one, other = self.value(node.args[0]), self.value(node.args[1])
                first = np.greater_equal(one, other) == (node.op == "maximum")
                return np.where(first, slopes[0], slopes[1])
            case function:
                x = np.asarray(self.value(node.args[0]))
                with np.errstate(all="ignore"):
                    return np.asarray(_SLOPES[function](x) * slopes[0])

    def _product(self, node: Node, slopes: list[np.ndarray | float]) -> np.ndarray | float:
        found: np.ndarray | float = 0.0
        for own, other in ((0, 1), (1, 0)):
            slope = slopes[own]
            if not (isinstance(slope, float) and slope == 0):
                found = found + slope * self.value(node.args[other])
        return found


_NUMPY = library_of(np.zeros(1))
_sigmoid = _NUMPY.functions["sigmoid"]
_SLOPES: dict[str, Callable[..., np.ndarray]] = {
    "tanh": lambda v: 1 - np.tanh(v) ** 2,
    "sigmoid": lambda v: _sigmoid(v) * (1 - _sigmoid(v)),
    "relu": lambda v: (v > 0).astype(v.dtype),
    "softsign": lambda v: 1 / (1 + np.abs(v)) ** 2,
    "softplus": _sigmoid,
    "exp": np.exp,
    "hard_sigmoid": lambda v: (np.abs(v) < 3) / 6,
    "abs": np.sign,
    "sqrt": lambda v: 0.5 / np.sqrt(v),
    "log": lambda v: 1 / v,
    "sin": np.cos,
    "cos": lambda v: -np.sin(v),
    "floor": np.zeros_like,
}
