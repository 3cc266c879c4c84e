"""The recurrent nodes of an ONNX file as layers of `recurra.nn`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from recurra.checked import checked
from recurra.errors import FormatError, InputError
from recurra.interop.layouts import to_ours
from recurra.interop.modules import LAYERS, arguments, fill, suffixes
from recurra.interop.onnx.read import Graph, Node, read_onnx
from recurra.interop.onnx.recurrence import DIRECTIONS, GATES, WEIGHTS, Recurrence
from recurra.nn import Recurrent


@checked
def from_onnx(path: str | Path) -> dict[str, Recurrent]:
    """Make a `recurra.nn` layer of each node RNN, LSTM and GRU of an ONNX file.

    Whatever else the file holds is left alone. Lengths and initial states, which in ONNX are inputs
    of the node, are given to the layer when it is called.

    Returns:
        Layers by the names of the nodes, in the order of the file, with weights equal to the bit.

    Raises:
        InputError: the package `onnx` is not installed, or a node has what our layers lack.
        FormatError: the file is damaged, has no such node, or computes the weights of one.
    """
    file = read_onnx(path)
    found = {}
    for node, constants in _recurrent(file.graph, {}):
        try:
            found[node.name] = _layer(node, constants)
        except InputError as error:
            raise type(error)(f"{file.path}: {node.where}: {error}") from error
        except KeyError as error:
            raise FormatError(
                f"{file.path}: {node.where}: its weights {error} are no constants of the file: "
                "fold the constants (onnxsim or onnxruntime do) and try again, or use recurra.load"
            ) from error
    if not found:
        raise FormatError(
            f"{file.path}: expected nodes of {', '.join(GATES)}, found none: recurra.load runs "
            "graphs of other nodes"
        )
    return found


def _recurrent(
    graph: Graph, outer: Mapping[str, np.ndarray]
) -> Iterator[tuple[Node, Mapping[str, np.ndarray]]]:
    constants = {**outer, **graph.constants}
    for node in graph.nodes:
        if node.op == "Constant" and isinstance(node.attributes.get("value"), np.ndarray):
            constants[node.outputs[0]] = node.attributes["value"]
        for body in node.attributes.values():
            if isinstance(body, Graph):
                yield from _recurrent(body, constants)
        if node.op in GATES:
            yield node, constants


def _layer(node: Node, constants: Mapping[str, np.ndarray]) -> Recurrent:
    read = Recurrence.read(node.op, node.attributes)
    names = {k: node.inputs[p] for k, p in WEIGHTS.items() if p < len(node.inputs)}
    given = {k: constants[name] for k, name in names.items() if name}
    prepared = read.prepare(**given)
    directions = DIRECTIONS[read.direction]
    has = {"bias": "B" in given, "peephole": "P" in given}
    programs = {read.program(d, **has) for d in range(len(directions))}
    if None in programs or len(programs) > 1:
        raise InputError(
            "recurra.nn has no layer for it: recurra.load runs clip, input_forget, functions with "
            "parameters of their own, and functions that differ between directions"
        )
    (program,) = programs
    assert program is not None
    if prepared.dtype.name not in ("float16", "float32", "float64", "bfloat16"):
        raise InputError(
            f"expected floating point weights, received {prepared.dtype.name}: convert them first"
        )
    made = LAYERS[program.cell](
        prepared.inputs,
        prepared.hidden,
        batch_first=read.batch_first,
        bidirectional=len(directions) == 2,
        reverse=read.direction == "reverse",
        dtype=getattr(torch, prepared.dtype.name),
        **arguments(program),
    )
    rows = [[a[d] for a in given.values()] for d in range(len(directions))]
    weights = [to_ours("onnx", program, row) for row in rows]
    fill(made, dict(zip(suffixes(1, len(directions)), weights, strict=True)))
    return made
