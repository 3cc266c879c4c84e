"""A cell's program as ONNX operators: one step, and what no state meets for all steps at once."""

from collections.abc import Mapping, Sequence

import numpy as np

from recurra.cells import Node, Program
from recurra.cells.graph import OVER_UNITS, stored
from recurra.interop.onnx.graph import Graph
from recurra.reference import NORM_EPSILON, alike_in_rows

_FUNCTIONS = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "exp": "Exp",
    **{"abs": "Abs", "sqrt": "Sqrt", "log": "Log", "sin": "Sin", "cos": "Cos"},
    **{"maximum": "Max", "minimum": "Min", "floor": "Floor"},
}
_POINTWISE = {"add": "Add", "sub": "Sub", "mul": "Mul", "neg": "Neg", "div": "Div"}


class Equations:
    """A program with its parameters, which writes itself into graphs; the twin of `Interpreter`."""

    def __init__(self, program: Program, weights: Mapping[str, np.ndarray], prefix: str) -> None:
        self.program, self._weights, self._prefix = program, weights, prefix
        self._hidden, _ = program.widths([weights[p.name].shape for p in program.parameters])
        #: Nodes of one number, which stands for all units.
        self._single: set[int] = set()
        for index, node in enumerate(program.nodes):
            own = node.op == "constant" or (node.op == "learnt" and node.value > 0)
            wide = node.op in ("state", "learnt", "weight", "affine", "gate", "norm", "project")
            if own or not (wide or node.op in OVER_UNITS or set(node.args) - self._single):
                self._single.add(index)
        timed: set[int] = set()
        for index, node in enumerate(program.nodes):
            if (node.op == "affine" and not node.args) or timed & set(node.args):
                timed.add(index)
        read = {a for i in program.stepped for a in program.nodes[i].args} | set(program.next)
        self._over_time = [i for i in program.hoisted if i in timed]
        self._constant = [i for i in program.hoisted if i not in timed]
        #: Nodes that steps read and that depend on the input alone.
        self.hoisted = [i for i in self._over_time if i in read]

    def hoist(self, graph: Graph, x: str) -> dict[int, str]:
        """Write what depends on no state, of `x` (T, B, I) or (B, I); names by node."""
        values: dict[int, str] = {}
        for index in sorted(self._constant + self._over_time):
            values[index] = self._write(graph, self.program.nodes[index], values, x)
        return {index: values[index] for index in self.hoisted}

    def step(self, graph: Graph, hoisted: Mapping[int, str], states: Sequence[str]) -> list[str]:
        """Write one step; return the names of the new states (B, ·)."""
        values, by_name = dict(hoisted), dict(zip(self.program.states, states, strict=True))
        for index in sorted((*self._constant, *self.program.stepped)):
            node = self.program.nodes[index]
            if node.op == "state":
                values[index] = by_name[node.name]
            else:
                values[index] = self._write(graph, node, values, "")
        constant = alike_in_rows(self.program)
        return [
            graph.add("Expand", [values[index], graph.add("Shape", [state])])
            if index in constant
            else values[index]
            for index, state in zip(self.program.next, states, strict=True)
        ]

    def _write(self, graph: Graph, node: Node, values: Mapping[int, str], x: str) -> str:
        args = [values[a] for a in node.args]
        if node.op == "affine" or node.op in OVER_UNITS:  # which want all units of one number, too
            one = [a in self._single for a in node.args]
            args = [
                graph.add("Expand", [arg, graph.integers(self._hidden)]) if single else arg
                for arg, single in zip(args, one, strict=True)
            ]
        match node.op:
            case "affine":
                return self._affine(graph, node, args[0] if args else x)
            case "gate":
                source = self.program.nodes[node.args[0]]
                width = self._hidden
                first = source.gates.index(node.name) * width
                cut = [graph.integers(n) for n in (first, first + width, -1)]
                return graph.add("Slice", [args[0], *cut])
            case "constant":
                return graph.number(node.value)
            case "weight":
                return self._parameter(graph, f"peephole_{node.name}")
            case "learnt":
                return self._parameter(graph, stored(node))
            case "where":
                return graph.add("Where", [graph.add("Greater", args[:2]), *args[2:]])
            case "mean" | "total" | "largest":
                reduce = "ReduceMax" if node.op == "largest" else "ReduceMean"
                value = graph.add(reduce, [args[0]], {"axes": [-1]})
                if node.op == "total":
                    value = graph.add("Mul", [value, graph.number(self._hidden)])
                return graph.add("Expand", [value, graph.add("Shape", [args[0]])])
            case "norm":
                name, bias = f"norm_{node.name}", f"norm_{node.name}_bias"
                added = [self._parameter(graph, bias)] if bias in self._weights else []
                return self._norm(graph, args[0], self._parameter(graph, name), added)
            case "project":
                return graph.add(
                    "MatMul", [args[0], self._parameter(graph, "weight_hr", turn=True)]
                )
            case "hard_sigmoid" | "softsign" | "softplus":
                return self._in_parts(graph, node.op, args[0])
            case op:
                return graph.add(_POINTWISE.get(op) or _FUNCTIONS[op], args)

    @staticmethod
    def _in_parts(graph: Graph, function: str, value: str) -> str:
        """Functions whose operators take parameters as float32, or run for float32 only."""
        one = graph.number(1)
        if function == "hard_sigmoid":
            sixth = graph.add("Mul", [value, graph.number(1 / 6)])
            raised = graph.add("Add", [sixth, graph.number(0.5)])
            return graph.add("Clip", [raised, graph.number(0), one])
        size = graph.add("Abs", [value])
        if function == "softsign":
            return graph.add("Div", [value, graph.add("Add", [one, size])])
        small = graph.add("Exp", [graph.add("Neg", [size])])  # softplus; cannot overflow
        rest = graph.add("Log", [graph.add("Add", [one, small])])
        return graph.add("Add", [graph.add("Relu", [value]), rest])

    def _affine(self, graph: Graph, node: Node, value: str) -> str:
        gates = node.gates
        weight = self._parameter(graph, f"weight_{node.name}", gates, turn=True)
        product, bias = graph.add("MatMul", [value, weight]), f"bias_{node.name}"
        added = [self._parameter(graph, bias, gates)] if bias in self._weights else []
        if node.normed:
            gain = self._parameter(graph, f"norm_{node.name}", gates)
            return self._norm(graph, product, gain, added)
        return graph.add("Add", [product, *added]) if added else product

    def _norm(self, graph: Graph, value: str, gain: str, bias: Sequence[str]) -> str:
        # In parts: the operator LayerNormalization takes epsilon as float32 whatever the dtype.
        last = {"axes": [-1]}
        centred = graph.add("Sub", [value, graph.add("ReduceMean", [value], last)])
        squares = graph.add("Mul", [centred, centred])
        variance = graph.add("ReduceMean", [squares], last)
        raised = graph.add("Add", [variance, graph.number(NORM_EPSILON)])
        normed = graph.add("Div", [centred, graph.add("Sqrt", [raised])])
        scaled = graph.add("Mul", [normed, gain])
        return graph.add("Add", [scaled, *bias]) if bias else scaled

    def _parameter(
        self, graph: Graph, name: str, gates: tuple[str, ...] | None = None, *, turn: bool = False
    ) -> str:
        """The name of a parameter, cut to some of its gates, and transposed if to `turn`."""
        array, every = self._weights[name], self.program.span(name.rpartition("_")[2])
        if gates is not None and gates != every:
            blocks = dict(zip(every, np.split(array, len(every)), strict=True))
            array = np.concatenate([blocks[gate] for gate in gates])
            name += "_" + "".join(gates)
        return graph.constant(np.ascontiguousarray(array.T if turn else array), self._prefix + name)
