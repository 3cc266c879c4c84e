"""The graph a cell traces to: what one step computes, as an immutable plan.

Two kinds of node. *Pointwise* nodes work on vectors of H units. *Row* nodes (`affine`, `norm`,
`project`) need the whole vector: they are what a fused kernel has to synchronise on.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from recurra.errors import InputError

#: Unary functions a cell may use, and an activation option may name.
FUNCTIONS = ("tanh", "sigmoid", "relu", "identity", "softsign", "softplus", "exp", "hard_sigmoid")
#: Further pointwise operations by name, and how many values each is of.
WORDS = {
    **{"abs": 1, "sqrt": 1, "log": 1, "sin": 1, "cos": 1, "floor": 1},
    **{"div": 2, "maximum": 2, "minimum": 2, "where": 4},
}

#: Operations over the units of a vector, whose value is the same for all of them.
OVER_UNITS = ("mean", "total", "largest")


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `args` are indices of earlier nodes.

    op         name and meaning
    state      the state `name` before this step
    affine     `W_name · v + b_name` for the gates in `gates`; no `args`: v is the input x_t
               `ih/NAME` is of the further input `name`, of `value` numbers; `hh/FORM`, and
               `ih/FORM` of no value, has another form of matrix than all numbers of it: see
               `matrices`
    gate       the part `name` of an affine node
    raw        the input x_t itself, of H numbers
    input      the further input `name`, of one number
    weight     the elementwise parameter `name`
    learnt     the parameter `name` that the definition declares; `value` numbers, 0: H; -1: H
               numbers that are fixed
    constant   the number `value`
    add sub mul neg, and each of `FUNCTIONS` and `WORDS`: pointwise; where is of (a, b, yes, no):
               yes where a > b, else no
    mean total largest   over the units of a vector; the gradient of the largest is taken as 0
    norm       layer norm over the units of a vector, with gain and bias `name`
    project    `W_name · v` without a bias
    """

    op: str
    args: tuple[int, ...] = ()
    name: str = ""
    value: float = 0.0
    gates: tuple[str, ...] = ()
    normed: bool = False  # affine only: layer norm between the product and the bias


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a cell: its name as `torch.nn` has it, and its shape in symbols.

    `axes` are products of `G`, `H`, `I`, `P` (gates, hidden, input, projection): `("GH", "I")`;
    `R` is the size of the recurrent input: P where the cell projects, else H. `2H` are two of the
    gates, where the equations read no more of a product; `H/4` is a quarter of the units.
    """

    name: str
    axes: tuple[str, ...]

    @property
    def is_fixed(self) -> bool:
        """Whether it is data of a layer (a mask, a matrix that is not learnt), and not learnt."""
        return self.name.startswith(("fixed_", "mask_"))

    def shape(
        self, *, gates: int, inputs: int, hidden: int, projection: int = 0
    ) -> tuple[int, ...]:
        """Return the shape in numbers; InputError where H has no such part."""
        sizes = {"G": gates, "I": inputs, "H": hidden, "P": projection, "R": projection or hidden}

        def size(axis: str) -> int:
            whole, _, parts = axis.partition("/")
            if parts and sizes[whole] % int(parts):
                raise InputError(
                    f"{self.name}: expected a number of units that {parts} heads share, received "
                    f"{sizes[whole]}: choose a multiple of {parts}"
                )
            if parts:
                return sizes[whole] // int(parts)
            factors = re.findall(r"\d+|[A-Z]", axis)
            return prod(sizes[f] if f in sizes else int(f) for f in factors)

        return tuple(size(axis) for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Program:
    """A cell traced with its options decided: what interpreters, kernels and documents derive from.

    `nodes` are in an order in which they can be computed. `next` has, per state, the node that is
    its new value; `visible` what the cell lets one look at, by name (gates, candidates, states).
    `starts` are the values that states start from, empty where all are 0; `inputs` the further
    inputs of a step by name and size, which are the last features of the input.
    """

    cell: str
    states: tuple[str, ...]
    gates: tuple[str, ...]
    nodes: tuple[Node, ...]
    next: tuple[int, ...]
    visible: tuple[tuple[str, int], ...]
    parameters: tuple[Parameter, ...]
    options: tuple[tuple[str, str | bool | float], ...]
    starts: tuple[float, ...] = ()
    inputs: tuple[tuple[str, int], ...] = ()

    def __hash__(self) -> int:
        # Programs are keys of every call's look-ups: all nodes would take ten microseconds.
        return hash((self.cell, self.options))

    @property
    def hoisted(self) -> tuple[int, ...]:
        """Nodes that depend on no state: computed for all time steps at once, before the loop."""
        return self._split()[0]

    @property
    def stepped(self) -> tuple[int, ...]:
        """Nodes that depend on a state, or on a recurrent product, which dropout may act on."""
        return self._split()[1]

    @property
    def depth(self) -> int:
        """How many products depend on one another within a step (LSTM 1, GRU reset before 2)."""
        depths: list[int] = []
        for node in self.nodes:
            below = max((depths[a] for a in node.args), default=0)
            row = node.op in ("affine", "project") and bool(node.args)
            depths.append(below + row)
        return max(depths, default=0)

    def meaning(self) -> str:
        """Return a digest of the equations: equal where programs compute the same from the same."""
        meant = (self.states, self.gates, self.nodes, self.next, self.parameters)
        return _digest(*meant, *self._further())[:16]

    def digest(self) -> str:
        """Return a digest of the equations and of the names of what can be looked at."""
        seen = (self.states, self.gates, self.nodes, self.next, self.parameters, self.visible)
        return _digest(*seen, *self._further())[:24]

    def _further(self) -> tuple[object, ...]:
        """What programs of before had none of."""
        return tuple(part for part in (self.starts, self.inputs) if part)

    @property
    def further(self) -> int:
        """How many features of the input are further inputs."""
        return sum(size for _, size in self.inputs)

    @property
    def has_data(self) -> bool:
        """Whether some of its parameters are not learnt."""
        return any(parameter.is_fixed for parameter in self.parameters)

    @property
    def first(self) -> tuple[float, ...]:
        """What each state starts from."""
        return self.starts or (0.0,) * len(self.states)

    def span(self, product: str) -> tuple[str, ...]:
        """Return the gates that `weight_ih` ("ih") or `weight_hh` ("hh") has rows for, in order."""
        axes = {p.name: p.axes for p in self.parameters}.get(f"weight_{product}")
        if axes is not None and axes[0] == "GH":
            return self.gates
        read = _read(self.nodes, product)
        return tuple(gate for gate in self.gates if gate in read)

    def biased_gates(self, product: str) -> tuple[str, ...]:
        """Return the gates that the bias of "ih" or "hh" has rows for, in order."""
        read = _biased(self.nodes, product)
        axes = {p.name: p.axes for p in self.parameters}.get(f"bias_{product}")
        if axes is not None and axes[0] == "GH":
            return self.gates
        return tuple(gate for gate in self.gates if gate in read)

    def widths(self, shapes: Sequence[Sequence[int]]) -> tuple[int, int]:
        """Return H and R of a layer, from the shapes of its first parameters, in their order."""
        (place, axis, count), recurrent = _measures(self)
        hidden = shapes[place][axis] // count
        if recurrent is None:
            return hidden, hidden
        return hidden, shapes[recurrent[0]][recurrent[1]]

    @property
    def listed(self) -> tuple[str, ...]:
        """Names of parameters as kernels list them: matrices and biases first, there or not."""
        first = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        others = (p.name for p in self.biased().parameters)
        return (*first, *(name for name in others if name not in first))

    def full(self) -> "Program":
        """Return the program with rows for all gates in both matrices, as layers once had them."""
        made = parameters(self.nodes, (), bias=bool(self.option("bias")))
        return self if made == self.parameters else replace(self, parameters=made)

    def option(self, name: str) -> str | bool | float | None:
        """Return the value an option was traced with; None where the cell has no such option."""
        return dict(self.options).get(name)

    def biased(self) -> "Program":
        """Return the program with biases, itself where it has them."""
        if self.option("bias"):
            return self
        options = tuple((n, True if n == "bias" else value) for n, value in self.options)
        return replace(self, parameters=self._parameters(bias=True), options=options)

    def _parameters(self, *, bias: bool) -> tuple[Parameter, ...]:
        """Its parameters with or without biases, of as many gates as its own are."""
        made = parameters(self.nodes, self.gates, bias=bool(self.option("bias")))
        return parameters(self.nodes, self.gates if made == self.parameters else (), bias=bias)

    def _split(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        stateful: list[bool] = []
        for node in self.nodes:
            recurrent = node.op == "affine" and bool(node.args)
            stateful.append(node.op == "state" or recurrent or any(stateful[a] for a in node.args))
        indices = range(len(self.nodes))
        return tuple(i for i in indices if not stateful[i]), tuple(
            i for i in indices if stateful[i]
        )


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def prune(
    nodes: Iterable[Node], roots: Iterable[int], *, norms: bool = True
) -> tuple[tuple[Node, ...], dict[int, int]]:
    """Drop what no root needs and the gates nobody reads; return the nodes and old → new index.

    Without `norms` those gates stay that a norm is over, and with them its value.
    """
    nodes = tuple(nodes)
    needed: set[int] = set()
    pending = list(roots)
    while pending:
        index = pending.pop()
        if index not in needed:
            needed.add(index)
            pending.extend(nodes[index].args)
    read: dict[int, set[str]] = {}
    for index in needed:
        if nodes[index].op == "gate":
            read.setdefault(nodes[index].args[0], set()).add(nodes[index].name)
    renamed: dict[int, int] = {}
    kept: list[Node] = []
    for index, node in enumerate(nodes):
        if index not in needed:
            continue
        gates = node.gates
        if norms or not node.normed:
            gates = tuple(g for g in gates if g in read.get(index, ()))
        renamed[index] = len(kept)
        args = tuple(renamed[a] for a in node.args)
        kept.append(Node(node.op, args, node.name, node.value, gates, node.normed))
    return tuple(kept), renamed


def _rows(read: int, gates: int) -> str:
    """The first axis of a product that `read` of so many gates are read of; "" where none is."""
    if not gates or read == gates:
        return "GH"
    return f"{read}H" if read > 1 else "H" if read else ""


def _read(nodes: Iterable[Node], product: str) -> set[str]:
    """The gates that equations read of the input's ("ih") or the recurrent ("hh") product."""
    return {
        gate
        for node in nodes
        if node.op == "affine" and node.name == product
        for gate in node.gates
    }


def _products(nodes: Iterable[Node], product: str) -> list[str]:
    """The names of all products of the input ("ih") or of states ("hh"), the plain one first."""
    names = {n.name for n in nodes if n.op == "affine" and n.name.partition("/")[0] == product}
    return [product, *sorted(names - {product})]


def _biased(nodes: Iterable[Node], product: str) -> set[str]:
    """The gates that equations read of products with a bias: of all but fixed ones."""
    names = (n for n in _products(nodes, product) if n != f"{product}/fixed")
    return set[str]().union(*(_read(nodes, name) for name in names))


def _matrix(node: Node, gates: int) -> list[Parameter]:
    """The parameters of a product with further inputs, or with a matrix of another form."""
    rows = f"{gates}H" if gates > 1 else "H"
    name = f"weight_{node.name.replace('/', '_')}"
    if node.value:
        return [Parameter(name, (rows, str(int(node.value))))]
    product, _, form = node.name.partition("/")
    shape = (rows, "I" if product == "ih" else "R")
    if form == "fixed":
        return [Parameter(f"fixed_{product}", shape)]
    if form == "masked":
        return [Parameter(name, shape), Parameter(f"mask_{product}", shape)]
    kind, count = form_of(node.name)
    if kind == "heads":
        return [Parameter(name, (rows, f"H/{count}"))]
    if kind == "rank":
        right = (str(gates * count), "H")
        return [Parameter(f"{name}_left", (rows, str(count))), Parameter(f"{name}_right", right)]
    return [Parameter(name, (rows, "H"))]


def form_of(name: str) -> tuple[str, int]:
    """Return the kind of a product's matrix and its number: of "hh/heads4" ("heads", 4)."""
    found = re.fullmatch(r"hh/([a-z]+)(\d*)", name)
    return (found[1], int(found[2] or 0)) if found else ("", 0)


@lru_cache(maxsize=1024)
def _measures(program: Program) -> tuple[tuple[int, int, int], tuple[int, int] | None]:
    """Where the shapes of parameters say H, times how many gates, and R where that is not H."""
    hidden: list[tuple[int, int, int]] = []
    recurrent: list[tuple[int, int]] = []
    for place, parameter in enumerate(program.parameters):
        for axis, text in enumerate(parameter.axes):
            if text.endswith("H"):
                count = len(program.gates) if text == "GH" else int(text[:-1] or 1)
                hidden.append((place, axis, count))
            if text in ("R", "P"):
                recurrent.append((place, axis))
    projects = any(p.name == "weight_hr" for p in program.parameters)
    hidden.sort(key=lambda measure: program.parameters[measure[0]].name != "weight_hh")
    return hidden[0], recurrent[0] if projects else None


def stored(node: Node) -> str:
    """Return the parameter of a node of `learnt`."""
    return f"{'fixed' if node.value < 0 else 'learnt'}_{node.name}"


def is_taken(norm: str) -> bool:
    """Whether a norm of that name would share a parameter with a product's, or with another's."""
    return norm in ("ih", "hh") or norm.endswith("_bias")


def parameters(
    nodes: Iterable[Node], gates: tuple[str, ...], *, bias: bool
) -> tuple[Parameter, ...]:
    """Return the parameters that nodes read, in the order of a layer's.

    Products have rows for those of `gates` that are read of them; without gates, for all.
    """
    nodes = tuple(nodes)
    rows = {name: _rows(len(_read(nodes, name)), len(gates)) for name in ("ih", "hh")}
    columns = {"ih": "I", "hh": "R"}
    found = [Parameter(f"weight_{n}", (axis, columns[n])) for n, axis in rows.items() if axis]
    others = {n.name: n for n in nodes if n.op == "affine" and "/" in n.name}
    for name in [n for product in rows for n in _products(nodes, product) if n in others]:
        found += _matrix(others[name], len(_read(nodes, name)))
    if bias:
        for name in rows:
            axis = _rows(len(_biased(nodes, name)), len(gates))
            found += [Parameter(f"bias_{name}", (axis,))] if axis else []
    if any(n.op == "project" for n in nodes):
        found.append(Parameter("weight_hr", ("P", "H")))
    for name, axis in rows.items():
        if any(n.op == "affine" and n.normed and n.name == name for n in nodes):
            found.append(Parameter(f"norm_{name}", (axis,)))
    for node in nodes:
        if node.op == "norm":
            found += [Parameter(f"norm_{node.name}", ("H",))]
            found += [Parameter(f"norm_{node.name}_bias", ("H",))] if bias else []
        if node.op == "weight":
            found.append(Parameter(f"peephole_{node.name}", ("H",)))
        if node.op == "learnt":
            found.append(Parameter(stored(node), ("1" if node.value > 0 else "H",)))
    return tuple(dict.fromkeys(found))
