"""Tracing: a definition is called once with symbols, and what it does to them is the program."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import NoReturn, Union

from recurra.cells.graph import FUNCTIONS, WORDS, Node
from recurra.cells.symbols import BRANCH, Refusals, Symbol
from recurra.errors import InputError

Operand = Union["Signal", float, int]

#: The largest power of a signal, which is products with itself.
_POWER = 8


class Trace(Refusals):
    """The nodes written so far. Equal nodes are one, so a value used twice is computed once."""

    def __init__(self, functions: Mapping[str, str]) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.functions = dict(functions)
        self._seen: dict[Node, int] = {}

    def add(self, node: Node) -> "Signal":
        """Append a node (or find it) and return the symbol for its value."""
        if node not in self._seen:
            self._seen[node] = len(self.nodes)
            self.nodes.append(node)
        return Signal(self, self._seen[node])

    def index(self, value: object, where: str) -> int:
        """Return the node of a signal; anything else is refused, `where` says in whose place."""
        if isinstance(value, Signal) and value._trace is self:
            return value._index
        if isinstance(value, Signal):
            self.refuse(
                f"{where} a signal of this definition, received one of another call of it: "
                "keep no signals between calls"
            )
        if isinstance(value, Bundle):
            received, cure = "all gates at once", "; name the gate, like x.i"
        else:
            received, cure = _shown(value), ""
        self.refuse(f"{where} a vector of units, received {received}{cure}")


class Signal(Symbol):
    """A vector of H units at one step, as a symbol."""

    __slots__ = ("_index", "_trace")

    def __init__(self, trace: Trace, index: int) -> None:
        self._trace, self._index = trace, index

    def _refuse(self, text: str) -> NoReturn:
        self._trace.refuse(text)

    def _called(self) -> str:
        node = self._trace.nodes[self._index]
        named = {"state": node.name, "gate": f"the gate {node.name}"}
        return named.get(node.op, "a signal")

    def _operand(self, other: object) -> int:
        if isinstance(other, Real):
            return self._trace.add(Node("constant", value=float(other)))._index
        if isinstance(other, Symbol):
            return self._trace.index(other, "an operation expects")
        self._refuse(
            f"an operation of {self._called()} with {_shown(other)}: expected a signal or a number "
            "of Python; a constant is written float(value), and arrays have no place in a cell"
        )

    def _with(self, op: str, first: int, second: int) -> "Signal":
        return self._trace.add(Node(op, (first, second)))

    def __add__(self, other: Operand) -> "Signal":
        if _is_zero(other):
            return self
        return self._with("add", self._index, self._operand(other))

    def __radd__(self, other: Operand) -> "Signal":
        return self if _is_zero(other) else self._with("add", self._operand(other), self._index)

    def __sub__(self, other: Operand) -> "Signal":
        return self._with("sub", self._index, self._operand(other))

    def __rsub__(self, other: Operand) -> "Signal":
        return self._with("sub", self._operand(other), self._index)

    def __mul__(self, other: Operand) -> "Signal":
        return self._with("mul", self._index, self._operand(other))

    def __rmul__(self, other: Operand) -> "Signal":
        return self._with("mul", self._operand(other), self._index)

    def __truediv__(self, other: Operand) -> "Signal":
        if _is_zero(other):
            self._refuse(f"a division of {self._called()} by 0")
        return self._with("div", self._index, self._operand(other))

    def __rtruediv__(self, other: Operand) -> "Signal":
        return self._with("div", self._operand(other), self._index)

    def __pow__(self, power: int) -> "Signal":
        if not isinstance(power, int) or isinstance(power, bool) or not 1 <= power <= _POWER:
            self._refuse(
                f"a power of {self._called()}: expected a whole number from 1 to {_POWER}, "
                f"received {_shown(power)}: use sqrt, exp and log for others"
            )
        found = self
        for _ in range(power - 1):
            found = found * self
        return found

    def __abs__(self) -> "Signal":
        return self._trace.add(Node("abs", (self._index,)))

    def __gt__(self, other: Operand) -> "Condition":
        return Condition(self._trace, self._index, self._operand(other), ">, min, max", self)

    def __lt__(self, other: Operand) -> "Condition":
        return Condition(self._trace, self._operand(other), self._index, "<, min, max", self)

    def __neg__(self) -> "Signal":
        return self._trace.add(Node("neg", (self._index,)))


class Condition(Symbol):
    """`a > b` of signals, for `where` alone: it has no value while the cell is defined."""

    __slots__ = ("_greater", "_less", "_said", "_trace")

    def __init__(self, trace: Trace, greater: int, less: int, sign: str, of: Signal) -> None:
        self._trace, self._greater, self._less = trace, greater, less
        self._said = f"a comparison ({sign}) with {of._called()}"

    def _refuse(self, text: str) -> NoReturn:
        self._trace.refuse(text)

    def _called(self) -> str:
        return self._said

    def __bool__(self) -> NoReturn:
        self._refuse(f"{self._said}: {BRANCH}")


class Bundle(Symbol):
    """One signal a gate: `bundle.f` is gate f's. The sum of bundles is taken gate by gate."""

    __slots__ = ("_gates", "_parts", "_trace")

    def __init__(self, trace: Trace, gates: tuple[str, ...], parts: tuple[int, ...]) -> None:
        # `parts` are the affine nodes whose gates are to be added up.
        self._trace, self._gates, self._parts = trace, gates, parts

    def _refuse(self, text: str) -> NoReturn:
        self._trace.refuse(f"{text}; name the gate, like x.{self._gates[0]}")

    def _called(self) -> str:
        return "all gates at once"

    def __getattr__(self, gate: str) -> Signal:
        if gate.startswith("__"):  # what Python and numpy look for on anything
            raise AttributeError(gate)
        if gate not in self._gates:
            self._trace.refuse(
                f"the cell has no gate {gate!r}: its gates are {' '.join(self._gates)}; "
                "use one of them, or add it to gates="
            )
        first, *rest = (self._trace.add(Node("gate", (p,), gate)) for p in self._parts)
        for part in rest:
            first = first + part
        return first

    def __add__(self, other: "Bundle") -> "Bundle":
        if not isinstance(other, Bundle):
            self._refuse(f"all gates at once can only be added to all gates, not {_shown(other)}")
        return Bundle(self._trace, self._gates, self._parts + other._parts)

    def _normed(self) -> "Bundle":
        """The same bundle with layer norm between each product and its bias."""
        parts = []
        for part in self._parts:
            node = self._trace.nodes[part]
            normed = Node("affine", node.args, node.name, 0.0, node.gates, True)
            parts.append(self._trace.index(self._trace.add(normed), ""))
        return Bundle(self._trace, self._gates, tuple(parts))


def _no_arithmetic(name: str) -> Callable[..., NoReturn]:
    def operation(self: Bundle, other: object = None) -> NoReturn:
        self._refuse(f"{name} all gates at once")

    return operation


for _name, _text in {
    **{"radd": "a sum of something and", "sub": "a difference of", "rsub": "a difference of"},
    **{"mul": "a product of", "rmul": "a product of", "neg": "a minus sign before"},
    "call": "a call of",
}.items():
    setattr(Bundle, f"__{_name}__", _no_arithmetic(_text))


class Product(Symbol):
    """`u` of a definition: `u(v)` is the recurrent product of a vector."""

    __slots__ = ("_gates", "_trace")

    def __init__(self, trace: Trace, gates: tuple[str, ...]) -> None:
        self._trace, self._gates = trace, gates

    def _refuse(self, text: str) -> NoReturn:
        self._trace.refuse(text)

    def _called(self) -> str:
        return "u itself"

    def __call__(self, value: object) -> Bundle:
        """Return `U v + b`, a part a gate."""
        trace, gates = self._trace, self._gates
        index = trace.index(value, "u() takes")
        made = trace.add(Node("affine", (index,), "hh", 0.0, gates))
        return Bundle(trace, gates, (trace.index(made, ""),))

    def __getattr__(self, gate: str) -> NoReturn:
        if gate.startswith("__"):
            raise AttributeError(gate)
        self._trace.refuse(f"u.{gate}: u is the product with a vector, as u(h).{gate}")


def function(name: str) -> Callable[[Signal], Signal]:
    """Return the pointwise function `name` for definitions; an activation option may rename it."""

    def apply(value: Signal) -> Signal:
        if not isinstance(value, Signal):
            where = f"{name}() takes"
            if isinstance(value, Bundle):
                value._trace.index(value, where)
            raise InputError(
                f"{where} a vector of units, received {_shown(value)}; it is for the equations of "
                "a cell: compute numbers with math, arrays with numpy or torch"
            )
        chosen = value._trace.functions.get(name, name)
        if chosen == "identity":
            return value
        return value._trace.add(Node(chosen, (value._index,)))

    apply.__name__ = name
    apply.__doc__ = f"Pointwise {name} of a signal."
    return apply


def word(name: str) -> Callable[..., Signal]:
    """Return the pointwise operation `name` of `WORDS` for definitions, of signals and numbers."""

    def apply(*values: Operand) -> Signal:
        trace = next((v._trace for v in values if isinstance(v, Signal)), None)
        count = WORDS[name]
        if trace is None or len(values) != count:
            for value in values:
                if isinstance(value, Bundle):
                    value._trace.index(value, f"{name}() takes")
            given = ", ".join(map(_shown, values)) or "nothing"
            raise InputError(
                f"{name}() takes {count} value{'s' * (count > 1)}, of which one is a vector of "
                f"units, received {given}; it is for the equations of a cell: compute numbers with "
                "math, arrays with numpy or torch"
            )
        signal = next(v for v in values if isinstance(v, Signal))
        return trace.add(Node(name, tuple(signal._operand(v) for v in values)))

    apply.__name__ = name
    apply.__doc__ = f"Pointwise {name} of signals."
    return apply


def where(condition: Condition, yes: Operand, no: Operand) -> Signal:
    """Return `yes` where the condition, `a > b` or `a < b`, holds, else `no`; unit by unit."""
    if not isinstance(condition, Condition):
        raise InputError(
            f"where() takes a comparison of signals, as h > 0, received {_shown(condition)}"
        )
    trace = condition._trace
    either = Signal(trace, condition._greater)
    parts = (condition._greater, condition._less, either._operand(yes), either._operand(no))
    return trace.add(Node("where", parts))


def check_function(name: str, where: str) -> str:
    """Return `name` if it is one of `FUNCTIONS`, else raise an error that lists them."""
    if not isinstance(name, str) or name not in FUNCTIONS:
        given = repr(name) if isinstance(name, str) else type(name).__name__
        raise InputError(f"{where}: unknown function {given}; choose from {', '.join(FUNCTIONS)}")
    return name


def _is_zero(value: object) -> bool:
    return isinstance(value, Real) and value == 0


def _shown(value: object) -> str:
    """A number as it is, anything else by its kind."""
    if isinstance(value, Symbol):
        return value._called()
    return repr(value) if isinstance(value, Real | str | None) else type(value).__name__
