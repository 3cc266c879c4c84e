"""Tracing: a definition is called once with symbols, and what it does to them is the program."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import NoReturn, Union

from recurra.cells.graph import FUNCTIONS, Node
from recurra.cells.matrices import FORMS, GIVEN_FORMS, MOST
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
        self.earlier: list[int] = []  # the values that `before` is asked for, as nodes
        self._seen: dict[Node, int] = {}

    def add(self, node: Node) -> "Signal":
        """Append a node (or find it) and return the symbol for its value."""
        if node not in self._seen:
            self._seen[node] = len(self.nodes)
            self.nodes.append(node)
        return Signal(self, self._seen[node])

    def before(self, value: object) -> "Signal":
        """Return the value of a signal at the step before: a state of its own, from 0."""
        index = self.index(value, "before() takes")
        if index not in self.earlier:
            self.earlier.append(index)
        return self.add(Node("state", name=f"before_{1 + self.earlier.index(index)}"))

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
            received, cure = shown(value), ""
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
            f"an operation of {self._called()} with {shown(other)}: expected a signal or a number "
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
                f"received {shown(power)}: use sqrt, exp and log for others"
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

    def __getitem__(self, gate: object) -> Signal:
        if not isinstance(gate, str):
            self._refuse(
                f"an index into all gates at once: expected a name, received {shown(gate)}"
            )
        found: Signal = getattr(self, gate)
        return found

    def __add__(self, other: "Bundle") -> "Bundle":
        if not isinstance(other, Bundle):
            self._refuse(f"all gates at once can only be added to all gates, not {shown(other)}")
        if not other._parts:  # of another kind, which adds itself
            return NotImplemented
        return Bundle(self._trace, self._gates, self._parts + other._parts)

    def _normed(self) -> "Bundle":
        """The same bundle with layer norm between each product and its bias."""
        parts = []
        for part in self._parts:
            node = self._trace.nodes[part]
            normed = Node("affine", node.args, node.name, 0.0, node.gates, True)
            parts.append(self._trace.index(self._trace.add(normed), ""))
        return Bundle(self._trace, self._gates, tuple(parts))


class Input(Bundle):
    """`x` of a definition: the input's part of each gate, itself, and the further inputs."""

    __slots__ = ("_inputs",)

    def __init__(self, trace: Trace, gates: tuple[str, ...], inputs: Mapping[str, int]) -> None:
        super().__init__(trace, gates, (trace.index(trace.add(_of_input("ih", gates)), ""),))
        self._inputs = dict(inputs)

    def __getattr__(self, name: str) -> "Signal | Bundle":  # type: ignore[override]
        trace = self._trace
        if name in self._inputs:
            size = self._inputs[name]
            if size == 1:
                return trace.add(Node("input", name=name))
            made = trace.add(_of_input(f"ih/{name}", self._gates, size))
            return Bundle(trace, self._gates, (trace.index(made, ""),))
        if name == "raw" and name not in self._gates:
            return trace.add(Node("raw"))
        return super().__getattr__(name)

    def __call__(self, *given: object, form: object = None) -> Bundle:
        """Return `W x_t`, a part a gate, of a matrix that is `masked` or `fixed`."""
        if given or form not in GIVEN_FORMS:
            received = shown(given[0] if given else form)
            self._trace.refuse(
                f"x(): expected form='masked' or form='fixed', as x(form='masked').{self._gates[0]}"
                f", received {received}"
            )
        made = self._trace.add(_of_input(f"ih/{form}", self._gates))
        return Bundle(self._trace, self._gates, (self._trace.index(made, ""),))

    def _normed(self) -> Bundle:
        if self._inputs:
            self._trace.refuse(
                "opt.norm(x) of a cell with further inputs: expected a norm of signals, as "
                "opt.norm(x.i): the layer's product of the input is one with theirs"
            )
        return super()._normed()


def _of_input(name: str, gates: tuple[str, ...], size: int = 0) -> Node:
    return Node("affine", (), name, float(size), gates)


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

    def __call__(
        self, value: object, *, heads: object = None, rank: object = None, form: object = None
    ) -> Bundle:
        """Return `U v + b`, a part a gate.

        Args:
            value: the vector v.
            heads: U has so many blocks on its diagonal, and zeros beside them.
            rank: U is A B, with so many columns in A.
            form: which numbers of U are read, one of `FORMS`.
        """
        trace, gates = self._trace, self._gates
        index = trace.index(value, "u() takes")
        asked = {"heads": heads, "rank": rank, "form": form}
        given = {name: of for name, of in asked.items() if of is not None}
        if len(given) > 1:
            trace.refuse(f"u(): expected one of {', '.join(asked)}, received {', '.join(given)}")
        kind = ""
        for name, of in given.items():
            if name == "form" and of not in FORMS:
                known = ", ".join(f"{one!r} ({what})" for one, what in FORMS.items())
                trace.refuse(f"u(): form: expected {known}, received {shown(of)}")
            whole = isinstance(of, int) and not isinstance(of, bool) and 0 < of <= MOST
            if name != "form" and not whole:
                trace.refuse(f"u(): {name}: expected a whole number from 1, received {shown(of)}")
            kind = f"/{of}" if name == "form" else f"/{name}{of}"
        made = trace.add(Node("affine", (index,), f"hh{kind}", 0.0, gates))
        return Bundle(trace, gates, (trace.index(made, ""),))

    def __getattr__(self, gate: str) -> NoReturn:
        if gate.startswith("__"):
            raise AttributeError(gate)
        self._trace.refuse(f"u.{gate}: u is the product with a vector, as u(h).{gate}")


def check_function(name: str, where: str) -> str:
    """Return `name` if it is one of `FUNCTIONS`, else raise an error that lists them."""
    if not isinstance(name, str) or name not in FUNCTIONS:
        given = repr(name) if isinstance(name, str) else type(name).__name__
        raise InputError(f"{where}: unknown function {given}; choose from {', '.join(FUNCTIONS)}")
    return name


def _is_zero(value: object) -> bool:
    return isinstance(value, Real) and value == 0


def shown(value: object) -> str:
    """A number as it is, anything else by its kind."""
    if isinstance(value, Symbol):
        return value._called()
    return repr(value) if isinstance(value, Real | str | None) else type(value).__name__
