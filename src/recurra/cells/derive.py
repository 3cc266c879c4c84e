"""The derivative of a cell: one step forward and one step backward, as one graph of equations.

`derive` lowers a `Program` to what a kernel works with (products, row statistics and pointwise
nodes), and differentiates it in reverse. The two halves share their nodes: a backward equation
refers to forward values directly, and `schedule` decides which of them a step keeps.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from math import isfinite

from recurra.cells.graph import Node, Program, stored
from recurra.cells.matrices import is_plain
from recurra.errors import InputError

#: Nodes that are there without computing: read from memory wherever they are used.
LEAVES = ("old", "x", "weight", "constant", "grad")
#: Nodes that need whole rows: what reads them has to wait until every thread has written its part.
ROWS = ("u", "proj", "moments", "ut", "projt", "sums")
#: Nodes whose gradient goes on with that of the row node they are of.
_BY_ROWS = ("u", "proj", "normalize", "moments", "mean", "total")


class NoKernelError(InputError):
    """Equations that kernels do not compute: why, as the end of a sentence."""


class Graph:
    """Nodes without duplicates, folded as they are added.

    Beside the pointwise operations of `cells.graph` there are, forward,

    old          the state `name` before the step
    x            gate `name` of the input's product
    u            gate `name` of product number `value` of its argument
    proj         the projection of its argument
    weight       the vector `name` of a parameter (`norm_ih.f`: the part of gate f)
    moments      mean and reciprocal deviation over the rows of its arguments together; of one
                 argument and named: the `mean` or `total` over its units, or the `largest`
    mean, total  what the named moments that are its argument hold, for every unit
    normalize    its first argument under the moments that are its second

    and backward

    grad         dL/d(new value of state `name`)
    ut, projt    the gradient of a product's argument from those of its gates
    sums         over rows: of the first half of the arguments, and of the two halves' product
    denormalize  dL/dv of `normalize` from dL/dx̂, x̂, the sums and the moments
    mean_gradient, total_gradient  dL/dv of `mean` and `total`, from the sums and the moments
    above        1 where its first argument is above its second, 1/2 where they are equal, else 0
    sign         1, -1 or 0, as its argument is above 0, below it, or 0
    positive     1 where its argument is above 0, else 0
    inside       1 where its argument is between 0 and 1, else 0

    and the slopes of functions that need more than a product: see native/functions.h
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._seen: dict[Node, int] = {}

    def add(self, op: str, *args: int, name: str = "", value: float = 0.0) -> int:
        """Return the index of the node, which is new unless an equal one was there."""
        folded = self._fold(op, args)
        if folded is not None:
            return folded
        node = Node(op, args, name, value)
        if node not in self._seen:
            self._seen[node] = len(self.nodes)
            self.nodes.append(node)
        return self._seen[node]

    def constant(self, value: float) -> int:
        """Return the node of a number."""
        return self.add("constant", value=float(value))

    def total(self, terms: list[int]) -> int:
        """Return the sum of the terms."""
        result = terms[0]
        for term in terms[1:]:
            result = self.add("add", result, term)
        return result

    def _fold(self, op: str, args: tuple[int, ...]) -> int | None:
        values = [self.nodes[a].value if self.nodes[a].op == "constant" else None for a in args]
        if op == "add" and 0.0 in values:
            return args[1 - values.index(0.0)]
        if op == "sub" and values[1] == 0.0:
            return args[0]
        if op == "mul" and 0.0 in values:
            return args[values.index(0.0)]
        if op == "mul" and 1.0 in values:
            return args[1 - values.index(1.0)]
        if op == "neg" and self.nodes[args[0]].op == "neg":
            return self.nodes[args[0]].args[0]
        return None


@dataclass
class Product:
    """`W · v` within a step: for some gates of `weight_hh`, or `weight_hr` (no gates)."""

    argument: int
    gates: tuple[str, ...]
    outputs: tuple[int, ...]
    gradients: tuple[int, ...] = ()


@dataclass
class Derived:
    """A step and its derivative. Indices are into `graph.nodes`; forward nodes come first.

    `direct` is the part of dL/d(old state) that needs no product; the rest flows through the
    products whose argument is an old state.
    """

    program: Program
    graph: Graph
    forward: int = 0
    fresh: dict[str, int] = field(default_factory=dict)
    visible: dict[str, int] = field(default_factory=dict)
    products: list[Product] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    direct: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)


def derive(program: Program) -> Derived:
    """Lower a program and differentiate it; NoKernelError where a kernel could not compute it."""
    if not is_plain(program):  # whose parameters are not those that kernels read
        raise NoKernelError("it has matrices of other forms: expected cells.matrices.plain of it")
    for name in ("ih", "hh"):
        if len({n.normed for n in program.nodes if n.op == "affine" and n.name == name}) > 1:
            raise NoKernelError(f"a norm is on some products with weight_{name}, and not on others")
    if not all(isfinite(n.value) for n in program.nodes):
        raise NoKernelError("a constant is no finite number")
    step = Derived(program, Graph())
    _lower(step)
    if not any(n.op == "x" for n in step.graph.nodes):
        raise NoKernelError("nothing is read of the input")
    step.forward = len(step.graph.nodes)
    _Reverse(step).run()
    return step


def _lower(step: Derived) -> None:
    graph, program = step.graph, step.program
    known: dict[int, int] = {}
    bundles: dict[int, dict[str, int]] = {}
    for index, node in enumerate(program.nodes):
        args = tuple(known.get(a, -1) for a in node.args)
        match node.op:
            case "state":
                known[index] = graph.add("old", name=node.name)
            case "constant":
                known[index] = graph.constant(node.value)
            case "weight":
                known[index] = graph.add("weight", name=f"peephole_{node.name}")
            case "learnt":
                known[index] = graph.add("weight", name=stored(node))
            case "affine":
                bundles[index] = _affine(step, node, args)
            case "gate":
                known[index] = bundles[node.args[0]][node.name]
            case "norm":
                known[index] = _norm(graph, list(args), node.name, "norm_{}_bias", [""])[0]
            case "mean" | "total" | "largest":
                moments = graph.add("moments", *args, name=node.op)
                known[index] = graph.add("total" if node.op == "total" else "mean", moments)
            case "project":
                known[index] = graph.add("proj", *args)
                step.products.append(Product(args[0], (), (known[index],)))
            case _:
                known[index] = graph.add(node.op, *args)
    step.fresh = {s: known[i] for s, i in zip(program.states, program.next, strict=True)}
    step.visible = {name: known[i] for name, i in program.visible}


def _affine(step: Derived, node: Node, args: tuple[int, ...]) -> dict[str, int]:
    graph, gates = step.graph, node.gates
    if args:
        number = float(len(step.products))
        raw = [graph.add("u", *args, name=g, value=number) for g in gates]
        step.products.append(Product(args[0], gates, tuple(raw)))
    else:
        raw = [graph.add("x", name=g) for g in gates]
    if node.normed:
        raw = _norm(graph, raw, node.name, "bias_{}", [f".{g}" for g in gates])
    return dict(zip(gates, raw, strict=True))


def _norm(graph: Graph, values: list[int], name: str, bias: str, parts: list[str]) -> list[int]:
    moments = graph.add("moments", *values)
    normed = []
    for value, part in zip(values, parts, strict=True):
        gain = graph.add("weight", name=f"norm_{name}{part}")
        shift = graph.add("weight", name=bias.format(name) + part)
        scaled = graph.add("mul", graph.add("normalize", value, moments), gain)
        normed.append(graph.add("add", scaled, shift))
    return normed


class _Reverse:
    """Reverse differentiation: nodes from the last to the first, adjoints summed as they come."""

    def __init__(self, step: Derived) -> None:
        self.step, self.graph = step, step.graph
        self.terms: dict[int, list[int]] = defaultdict(list)

    def run(self) -> None:
        step, graph = self.step, self.graph
        for state, index in step.fresh.items():
            self.terms[index].append(graph.add("grad", name=state))
        first = {min(p.outputs): p for p in step.products}
        for index in reversed(range(step.forward)):
            node = graph.nodes[index]
            if index in first:
                self._product(first[index])
            if node.op == "moments":
                self._moments(index, node)
            if index not in self.terms or node.op in _BY_ROWS:
                continue
            gradient = graph.total(self.terms[index])
            if node.op == "x":
                step.inputs[node.name] = gradient
            elif graph.nodes[gradient] == Node("constant"):
                continue
            elif node.op == "old":
                step.direct[node.name] = gradient
            elif node.op == "weight":
                step.weights[node.name] = gradient
            else:
                self._pointwise(node, index, gradient)
        for node in graph.nodes[: step.forward]:
            if node.op == "x":  # also where no gradient comes, for the loop reads all
                step.inputs.setdefault(node.name, graph.constant(0))
        step.inputs = {g: step.inputs[g] for g in step.program.gates if g in step.inputs}

    def _adjoint(self, index: int) -> int:
        return self.graph.total(self.terms[index] or [self.graph.constant(0)])

    def _product(self, product: Product) -> None:
        product.gradients = tuple(self._adjoint(o) for o in product.outputs)
        argument = product.argument
        if self.graph.nodes[argument].op != "old":
            number = float(self.step.products.index(product))
            op = "ut" if product.gates else "projt"
            self.terms[argument].append(self.graph.add(op, *product.gradients, value=number))

    def _moments(self, index: int, node: Node) -> None:
        graph = self.graph
        if node.name:
            return self._over_units(index, node)
        normed = [graph.add("normalize", a, index) for a in node.args]
        gradients = [self._adjoint(n) for n in normed]
        sums = graph.add("sums", *gradients, *normed, value=float(index))
        for value, gradient, unit in zip(node.args, gradients, normed, strict=True):
            self.terms[value].append(graph.add("denormalize", gradient, unit, sums, index))

    def _over_units(self, index: int, node: Node) -> None:
        """Of a mean or a sum; the largest, which keeps functions from overflowing, has none."""
        op = "total" if node.name == "total" else "mean"
        gradient = self._adjoint(self.graph.add(op, index))
        if node.name == "largest" or self.graph.nodes[gradient] == Node("constant"):
            return
        sums = self.graph.add("sums", gradient, gradient, value=float(index))
        self.terms[node.args[0]].append(self.graph.add(f"{op}_gradient", sums, index))

    def _pointwise(self, node: Node, index: int, gradient: int) -> None:
        graph, terms = self.graph, self.terms
        match node.op:
            case "add":
                for arg in node.args:
                    terms[arg].append(gradient)
            case "sub":
                terms[node.args[0]].append(gradient)
                terms[node.args[1]].append(graph.add("neg", gradient))
            case "neg":
                terms[node.args[0]].append(graph.add("neg", gradient))
            case "mul":
                a, b = node.args
                terms[a].append(graph.add("mul", gradient, b))
                terms[b].append(graph.add("mul", gradient, a))
            case "constant":
                pass
            case "div":
                a, b = node.args
                share = graph.add("div", gradient, b)
                terms[a].append(share)
                terms[b].append(graph.add("neg", graph.add("mul", share, index)))
            case "maximum" | "minimum":
                for one, other in (node.args, node.args[::-1]):
                    pair = (one, other) if node.op == "maximum" else (other, one)
                    terms[one].append(graph.add("mul", gradient, graph.add("above", *pair)))
            case "where":
                a, b, yes, no = node.args
                zero = graph.constant(0)
                terms[yes].append(graph.add("where", a, b, gradient, zero))
                terms[no].append(graph.add("where", a, b, zero, gradient))
            case "log":
                terms[node.args[0]].append(graph.add("div", gradient, node.args[0]))
            case _:
                slope = self._slope(node.op, node.args[0], index)
                terms[node.args[0]].append(graph.add("mul", gradient, slope))

    def _slope(self, function: str, x: int, y: int) -> int:
        """The derivative of a function at x, where its value is y.

        Of y alone where that loses nothing that counts: what is kept for it is kept anyway.
        native/functions.h states the errors.
        """
        add, one = self.graph.add, self.graph.constant(1)
        match function:
            case "tanh":
                return add("sub", one, add("mul", y, y))
            case "sigmoid":
                return add("mul", y, add("sub", one, y))
            case "relu":
                return add("positive", y)
            case "softsign":
                return add("softsign_slope", x)  # 1 - |y| has no digits left where y is near 1
            case "softplus":
                return add("softplus_slope", y)  # nor has 1 - exp(-y) where y is near 0
            case "exp":
                return y
            case "hard_sigmoid":
                return add("mul", add("inside", y), self.graph.constant(1 / 6))
            case "identity":
                return one
            case "abs":
                return add("sign", x)
            case "sqrt":
                return add("div", self.graph.constant(0.5), y)
            case "floor":
                return self.graph.constant(0)
            case "sin":
                return add("cos", x)
            case "cos":
                return add("neg", add("sin", x))
        raise ValueError(f"no derivative for the function {function!r}")
