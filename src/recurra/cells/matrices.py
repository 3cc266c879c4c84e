"""Matrices of other forms, the raw input and further inputs, as plain products of wider matrices.

Interpreters, kernels and files of ONNX know one matrix of the input and one of the states. What a
definition writes beyond that (`u(h, heads=4)`, `x.raw`, `x.dt`) is rows of these two matrices:
blocks on the diagonal, the identity, a column of ones. `plain` says which rows those are;
`recurra.matrices` makes them of a layer's parameters.
"""

from dataclasses import replace
from functools import lru_cache

from recurra.cells.graph import Node, Program, parameters

#: Forms of `u(v, form=…)`: which numbers of the matrix are read.
FORMS = {
    "lower": "on and below the diagonal",
    "upper": "on and above the diagonal",
    "antisymmetric": "A - A^T of those above the diagonal",
    "masked": "where a mask of the layer's is 1",
    "fixed": "all, none of them learnt",
}
#: Those that `x(form=…)` has too, whose numbers come with the layer.
GIVEN_FORMS = ("masked", "fixed")
#: The most heads, ranks and sizes of further inputs that a program may have.
MOST = 1 << 16


def is_plain(program: Program) -> bool:
    """Whether its parameters are those that interpreters and kernels take."""
    return not program.inputs and not any(
        node.op == "raw" or (node.op == "affine" and "/" in node.name) for node in program.nodes
    )


@lru_cache(maxsize=1024)
def plain(program: Program) -> Program:
    """Return the program over one matrix of the input and one of the states; itself if it is one.

    What is read of the input beyond `x.GATE` becomes gates of its product: "GATE ih/NAME" of a
    further input, " NAME" of one of one number, " raw". So do those of a matrix of another form.
    """
    if is_plain(program):
        return program
    nodes: list[Node] = []
    renamed: dict[int, int] = {}
    gates: list[str] = list(program.gates)

    def rename(index: int, node: Node) -> None:
        if node not in nodes:
            nodes.append(node)
        renamed[index] = nodes.index(node)

    read = [_input_gate(node, program) for node in program.nodes]
    every = [gate for gate in program.gates if gate in read]
    every += [gate for gate in dict.fromkeys(read) if gate is not None and gate not in every]
    normed = any(n.op == "affine" and not n.args and n.normed for n in program.nodes)
    if every:
        nodes.append(Node("affine", (), "ih", 0.0, tuple(every), normed))
    gates += [gate for gate in every if gate not in gates]
    for index, node in enumerate(program.nodes):
        args = tuple(renamed[a] for a in node.args)
        if node.op == "affine" and not node.args:
            renamed[index] = 0
        elif (gate := read[index]) is not None:
            rename(index, Node("gate", (0,), gate))
        elif node.op == "affine":
            own = tuple(_form_gate(gate, node.name) for gate in node.gates)
            gates += [gate for gate in own if gate not in gates]
            rename(index, Node("affine", args, "hh", 0.0, own, node.normed))
        elif node.op == "gate":
            name = _form_gate(node.name, program.nodes[node.args[0]].name)
            rename(index, Node("gate", args, name))
        else:
            rename(index, replace(node, args=args))
    order = {gate: n for n, gate in enumerate(gates)}
    for n, node in enumerate(nodes):
        nodes[n] = replace(node, gates=tuple(sorted(node.gates, key=order.__getitem__)))
    return replace(
        program,
        gates=tuple(gates),
        nodes=tuple(nodes),
        next=tuple(renamed[i] for i in program.next),
        visible=tuple((name, renamed[i]) for name, i in program.visible),
        parameters=parameters(nodes, tuple(gates), bias=bool(program.option("bias"))),
        inputs=(),
    )


def split_gate(gate: str) -> tuple[str, str]:
    """Return of a gate of a plain program the gate that was written, and its product or input."""
    first, _, rest = gate.partition(" ")
    return first, rest


def _form_gate(gate: str, product: str) -> str:
    return gate if "/" not in product else f"{gate} {product}"


def _input_gate(node: Node, program: Program) -> str | None:
    """The gate of the input's product that a node is; None for others."""
    if node.op in ("raw", "input"):
        return f" {node.name or 'raw'}"
    if node.op == "gate":
        source = program.nodes[node.args[0]]
        if not source.args:
            return _form_gate(node.name, source.name)
    return None
