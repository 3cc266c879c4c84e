"""Tracing: a definition is called once with symbols, and what it does to them is the program."""

from collections.abc import Callable, Mapping
from typing import Union

from recurra.cells.graph import FUNCTIONS, Node
from recurra.errors import InputError

Operand = Union["Signal", float, int]


class Trace:
    """The nodes written so far. Equal nodes are one, so a value used twice is computed once."""

    def __init__(self, functions: Mapping[str, str]) -> None:
        self.nodes: list[Node] = []
        self.functions = dict(functions)
        self._seen: dict[Node, int] = {}

    def add(self, node: Node) -> "Signal":
        """Append a node (or find it) and return the symbol for its value."""
        if node not in self._seen:
            self._seen[node] = len(self.nodes)
            self.nodes.append(node)
        return Signal(self, self._seen[node])


class Signal:
    """A vector of H units at one step, as a symbol."""

    __slots__ = ("index", "trace")

    def __init__(self, trace: Trace, index: int) -> None:
        self.trace, self.index = trace, index

    def _operand(self, other: Operand) -> int:
        if isinstance(other, Signal):
            return other.index
        return self.trace.add(Node("constant", value=float(other))).index

    def _with(self, op: str, first: int, second: int) -> "Signal":
        return self.trace.add(Node(op, (first, second)))

    def __add__(self, other: Operand) -> "Signal":
        if not isinstance(other, Signal) and other == 0:
            return self
        return self._with("add", self.index, self._operand(other))

    def __radd__(self, other: Operand) -> "Signal":
        return self if other == 0 else self._with("add", self._operand(other), self.index)

    def __sub__(self, other: Operand) -> "Signal":
        return self._with("sub", self.index, self._operand(other))

    def __rsub__(self, other: Operand) -> "Signal":
        return self._with("sub", self._operand(other), self.index)

    def __mul__(self, other: Operand) -> "Signal":
        return self._with("mul", self.index, self._operand(other))

    def __rmul__(self, other: Operand) -> "Signal":
        return self._with("mul", self._operand(other), self.index)

    def __neg__(self) -> "Signal":
        return self.trace.add(Node("neg", (self.index,)))


class Bundle:
    """One signal a gate: `bundle.f` is gate f's. The sum of bundles is taken gate by gate."""

    __slots__ = ("_gates", "_parts")

    def __init__(self, gates: tuple[str, ...], parts: tuple[Signal, ...]) -> None:
        # `parts` are the affine nodes whose gates are to be added up.
        self._gates, self._parts = gates, parts

    def __getattr__(self, gate: str) -> Signal:
        if gate not in self._gates:
            raise InputError(
                f"the cell has no gate {gate!r}: its gates are {' '.join(self._gates)}"
            )
        first, *rest = (p.trace.add(Node("gate", (p.index,), gate)) for p in self._parts)
        for part in rest:
            first = first + part
        return first

    def __add__(self, other: "Bundle") -> "Bundle":
        if not isinstance(other, Bundle):
            raise InputError("all gates at once can only be added to all gates; name one, like x.i")
        return Bundle(self._gates, self._parts + other._parts)

    def normed(self) -> "Bundle":
        """The same bundle with layer norm between each product and its bias."""
        parts = []
        for part in self._parts:
            node = part.trace.nodes[part.index]
            parts.append(
                part.trace.add(Node("affine", node.args, node.name, 0.0, node.gates, True))
            )
        return Bundle(self._gates, tuple(parts))


class Options:
    """What a definition may ask of `opt`; an option that is off returns its argument unchanged."""

    def __init__(self, trace: Trace, chosen: Mapping[str, str | bool]) -> None:
        self._trace, self._chosen = trace, dict(chosen)

    def __getattr__(self, name: str) -> str | bool:
        return self._value(name)

    def _value(self, name: str) -> str | bool:
        try:
            return self._chosen[name]
        except KeyError:
            raise InputError(
                f"the cell asks for the option {name!r}, which its definition does not list"
            ) from None

    def norm(self, value: "Bundle | Signal", name: str = "c") -> "Bundle | Signal":
        """Layer norm (Ba et al. 2016, eq. 20–22). Of a bundle: between the product and the bias,
        over all units of all the gates that the product feeds. Of a signal: over its units, with a
        gain `norm_<name>` and a bias `norm_<name>_bias`."""
        if not self._value("norm"):
            return value
        if isinstance(value, Bundle):
            return value.normed()
        return self._trace.add(Node("norm", (value.index,), name))

    def peephole(self, gate: str, state: Signal) -> Operand:
        """`p_gate ⊙ state` (Gers et al. 2002), or 0 where peepholes are off."""
        if not self._value("peephole"):
            return 0  # adding zero leaves no trace
        return self._trace.add(Node("weight", name=gate)) * state

    def project(self, value: Signal) -> Signal:
        """`W_hr · value` (Sak et al. 2014, eq. 8), or `value` where projection is off."""
        if not self._value("projection"):
            return value
        return self._trace.add(Node("project", (value.index,), "hr"))


def function(name: str) -> Callable[[Signal], Signal]:
    """Return the pointwise function `name` for definitions; an activation option may rename it."""

    def apply(value: Signal) -> Signal:
        chosen = value.trace.functions.get(name, name)
        if chosen == "identity":
            return value
        return value.trace.add(Node(chosen, (value.index,)))

    apply.__name__ = name
    apply.__doc__ = f"Pointwise {name} of a signal."
    return apply


def check_function(name: str, where: str) -> str:
    """Return `name` if it is one of `FUNCTIONS`, else raise an error that lists them."""
    if name not in FUNCTIONS:
        raise InputError(f"{where}: unknown function {name!r}; choose from {', '.join(FUNCTIONS)}")
    return name
