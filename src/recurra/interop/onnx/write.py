"""A network as a graph of ONNX operators: over sequences, or one step."""

import sys
from collections.abc import Sequence

import numpy as np

from recurra import native
from recurra.cells import CellData
from recurra.interop.network import Network
from recurra.interop.onnx.equations import Equations
from recurra.interop.onnx.graph import Graph
from recurra.interop.onnx.operators import fits, operator, tensors
from recurra.storage import dump_json

#: How the outputs (T, D, B, R) of two directions become one, but for putting them side by side.
_MERGES = {"sum": "ReduceSum", "mul": "ReduceProd", "ave": "ReduceMean"}


def sequence_model(network: Network, *, lengths: bool, states: bool, reset: bool = False) -> bytes:
    """A file that reads whole sequences; names and shapes of its values: see `recurra.export`."""
    graph = Graph("sequence", network.dtype)
    axes = ("batch", "time") if network.batch_first else ("time", "batch")
    inputs, x = _read(graph, network, axes)
    if network.batch_first:
        x = graph.add("Transpose", [x], {"perm": [1, 0, 2][: 2 if network.vocabulary else 3]})
    x = _embed(graph, network, x)
    writer = _Layers(graph, network, x, reset=reset)
    if lengths:
        inputs.append(("lengths", np.int64, ("batch",)))
        writer.valid_until("lengths")
    if reset:
        inputs.append(("reset", np.dtype(bool), axes))
        turn = {"perm": [1, 0]}
        writer.begin_anew(
            graph.add("Transpose", ["reset"], turn) if network.batch_first else "reset"
        )
    if states:
        inputs += [(f"{s}_0", network.dtype, shape) for s, shape in _states(network)]
    outputs, final = writer.write([f"{s}_0" for s in network.program.states] if states else None)
    written = _head(graph, network, outputs)
    if network.batch_first:
        written = graph.add("Transpose", [written], {"perm": [1, 0, 2]})
    return _finish(graph, network, inputs, written, axes, final)


def step_model(network: Network, *, reset: bool = False) -> bytes:
    """A file that moves streams one step on."""
    graph = Graph("step", network.dtype)
    inputs, x = _read(graph, network, ("batch",))
    inputs += [(f"{s}_0", network.dtype, shape) for s, shape in _states(network)]
    x = graph.add("Unsqueeze", [_embed(graph, network, x), graph.integers(0)])
    writer = _Layers(graph, network, x)
    if reset:
        inputs.append(("reset", np.dtype(bool), ("batch",)))
        writer.begin_before_step("reset")
    outputs, final = writer.write([f"{s}_0" for s in network.program.states], single=True)
    outputs = graph.add("Squeeze", [outputs, graph.integers(0)])
    return _finish(graph, network, inputs, _head(graph, network, outputs), ("batch",), final)


Value = tuple[str, type | np.dtype, tuple[int | str, ...]]


def _read(graph: Graph, network: Network, axes: tuple[str, ...]) -> tuple[list[Value], str]:
    if network.vocabulary:
        return [("ids", np.int64, axes)], "ids"
    return [("input", network.dtype, (*axes, network.inputs))], "input"


def _states(network: Network) -> list[tuple[str, tuple[int | str, ...]]]:
    rows = len(network.weights) * network.directions
    named = zip(network.program.states, network.sizes, strict=True)
    return [(state, (rows, "batch", size)) for state, size in named]


def _embed(graph: Graph, network: Network, x: str) -> str:
    if not network.vocabulary:
        return x
    if network.embedding is not None:
        return graph.add("Gather", [graph.constant(network.embedding, "embedding"), x])
    ends = graph.constant(np.array([0, 1], network.dtype))
    return graph.add("OneHot", [x, graph.integers(network.vocabulary), ends])


def _head(graph: Graph, network: Network, outputs: str) -> str:
    if network.head is None:
        return outputs
    if network.tied:
        weight = graph.add(
            "Transpose", [graph.constant(network.head, "embedding")], {"perm": [1, 0]}
        )
    else:
        weight = graph.constant(np.ascontiguousarray(network.head.T), "head")
    logits = graph.add("MatMul", [outputs, weight])
    if network.head_bias is None:
        return logits
    return graph.add("Add", [logits, graph.constant(network.head_bias, "head_bias")])


def _finish(
    graph: Graph,
    network: Network,
    inputs: Sequence[Value],
    written: str,
    axes: tuple[str, ...],
    final: Sequence[str],
) -> bytes:
    name = "logits" if network.head is not None else "output"
    graph.add("Identity", [written], name=name)
    width = network.vocabulary
    if network.head is None:
        width = network.sizes[0] * (network.directions if network.merge == "concat" else 1)
    outputs: list[Value] = [(name, network.dtype, (*axes, width))]
    for (state, shape), value in zip(_states(network), final, strict=True):
        graph.add("Identity", [value], name=f"{state}_n")
        outputs.append((f"{state}_n", network.dtype, shape))
    notes = dict(network.notes)
    if not native.built_in(network.program):  # the equations, as a cell and not as operators
        data = CellData.of_program(network.program).to_json()
        notes["cell"] = dump_json(data).decode().rstrip()
    return graph.model(inputs, outputs, notes)


class _Layers:
    """The recurrent layers of a network, on `x` (T, B, I)."""

    def __init__(self, graph: Graph, network: Network, x: str, *, reset: bool = False) -> None:
        self._graph, self._network, self._x = graph, network, x
        self._batch = graph.add("Shape", [x], {"start": 1, "end": 2})
        # No operator begins anew.
        self._fits = not network.keep and fits(network.program, network.dtype) and not reset
        self._lengths = self._valid = self._begins = ""
        self._resets: list[str] = []  # of each direction, (T, B, 1)

    def valid_until(self, lengths: str) -> None:
        """Let only the first steps of each row count, as `lengths` (B,) says."""
        graph = self._graph
        self._lengths = graph.add("Cast", [lengths], {"to": 6})  # int32
        if self._fits:
            return
        scalar = graph.constant(np.array(0, np.int64))
        steps = graph.add("Shape", [self._x], {"start": 0, "end": 1})
        limit = graph.add("Squeeze", [steps, graph.integers(0)])
        count = graph.add("Range", [scalar, limit, graph.constant(np.array(1, np.int64))])
        column = graph.add("Unsqueeze", [count, graph.integers(1)])
        valid = graph.add("Less", [column, lengths])
        self._valid = graph.add("Unsqueeze", [valid, graph.integers(2)])

    def begin_anew(self, reset: str) -> None:
        """Let rows begin anew before the steps where `reset` (T, B) is set."""
        graph = self._graph
        column = graph.add("Unsqueeze", [reset, graph.integers(2)])
        if self._valid:
            column = graph.add("And", [column, self._valid])
        zero, one, end = (
            graph.integers(0),
            graph.integers(1),
            graph.integers(np.iinfo(np.int64).max),
        )
        first = graph.add("Slice", [column, zero, one, zero])
        rest = graph.add("Slice", [column, one, end, zero])
        # Backwards an episode begins with its last step.
        never = graph.add("And", [first, graph.add("Not", [first])])
        self._resets = [column, graph.add("Concat", [rest, never], {"axis": 0})]

    def begin_before_step(self, reset: str) -> None:
        """Let rows begin anew before the only step where `reset` (B,) is set."""
        self._begins = self._graph.add("Unsqueeze", [reset, self._graph.integers(1)])

    def write(self, states: Sequence[str] | None, *, single: bool = False) -> tuple[str, list[str]]:
        """Write all layers; return outputs (T, B, ·), and per state the last (L * D, B, ·)."""
        graph, network, x = self._graph, self._network, self._x
        wide, ended = network.directions, list[Sequence[str]]()
        for layer in range(len(network.weights)):
            rows = slice(layer * wide, (layer + 1) * wide)
            initial = [self._initial(k, rows, states) for k in range(len(network.sizes))]
            make = self._operator if self._fits else self._step if single else self._scan
            outputs, final = make(layer, x, initial)
            outputs = self._merged(outputs)
            ended.append(final)
            x = self._onward(layer, outputs, x)
        return x, [
            graph.add("Concat", list(parts), {"axis": 0}) for parts in zip(*ended, strict=True)
        ]

    def _onward(self, layer: int, outputs: str, x: str) -> str:
        """What the next layer reads, or the caller: of a layer's outputs and its input."""
        graph, network = self._graph, self._network
        last = [graph.integers(n) for n in (-network.further, sys.maxsize, -1)]
        own = [graph.integers(n) for n in (0, -network.further, -1)]
        if network.residual and layer:
            residual = graph.add("Slice", [x, *own]) if network.further else x
            outputs = graph.add("Add", [outputs, residual])
        if network.further and layer < len(network.weights) - 1:
            return graph.add("Concat", [outputs, graph.add("Slice", [x, *last])], {"axis": 2})
        return outputs

    def _initial(self, state: int, rows: slice, given: Sequence[str] | None) -> str:
        """What a layer's state (D, B, ·) starts from; "" for the zeros an operator starts from."""
        graph = self._graph
        if given is not None:
            ends = [graph.integers(n) for n in (rows.start, rows.stop, 0)]
            found = graph.add("Slice", [given[state], *ends])
            if not self._begins:
                return found
            return graph.add("Where", [self._begins, self._start(state, rows), found])
        return self._start(state, rows)

    def _start(self, state: int, rows: slice) -> str:
        """The learnt state or zeros; "" for the zeros an operator starts from."""
        graph, network = self._graph, self._network
        size, wide, learnt = network.sizes[state], network.directions, network.initial[state]
        needed = not self._fits or self._begins
        if learnt is None and not needed and not any(i is not None for i in network.initial):
            return ""
        parts = [graph.integers(wide), self._batch, graph.integers(size)]
        shape = graph.add("Concat", parts, {"axis": 0})
        start = np.zeros((1, 1, 1), network.dtype) if learnt is None else learnt[rows, None]
        return graph.add("Expand", [graph.constant(start), shape])

    def _operator(self, layer: int, x: str, initial: Sequence[str]) -> tuple[str, list[str]]:
        """One layer as the operator RNN, LSTM or GRU: outputs (T, D, B, R) and last (D, B, ·)."""
        graph, network = self._graph, self._network
        op, attributes = operator(network.program, network.directions, reverse=network.reverse)
        named = tensors(network.program, network.weights[layer])
        found = {n: graph.constant(a, f"layer{layer}_{n}") for n, a in named.items()}
        inputs = [x, found["W"], found["R"], found.get("B", ""), self._lengths, *initial]
        if "P" in found:
            inputs.append(found["P"])
        while not inputs[-1]:
            inputs.pop()
        names = [graph.fresh(op) for _ in range(1 + len(initial))]
        attributes = {**attributes, "hidden_size": network.hidden}
        outputs, *final = graph.add_many(op, inputs, attributes, names)
        if self._lengths and initial[0]:
            # ONNX does not say where a row without steps ends; ONNX Runtime says at zero.
            zero = graph.constant(np.array(0, np.int32))
            none = graph.add("Equal", [self._lengths, zero])
            none = graph.add("Unsqueeze", [none, graph.integers(1)])
            pairs = zip(initial, final, strict=True)
            final = [graph.add("Where", [none, start, end]) for start, end in pairs]
        return outputs, list(final)

    def _merged(self, outputs: str) -> str:
        """Outputs (T, D, B, R) as (T, B, ·)."""
        graph, network = self._graph, self._network
        if network.directions == 1:
            return graph.add("Squeeze", [outputs, graph.integers(1)])
        if network.merge == "concat":
            beside = graph.add("Transpose", [outputs], {"perm": [0, 2, 1, 3]})
            return graph.add("Reshape", [beside, graph.integers(0, 0, 2 * network.sizes[0])])
        if network.merge == "sum":  # the one that takes its axes as an input already
            return graph.add("ReduceSum", [outputs, graph.integers(1)], {"keepdims": 0})
        return graph.add(_MERGES[network.merge], [outputs], {"axes": [1], "keepdims": 0})

    # -- cells that are no operator ---------------------------------------------------------------

    def _step(self, layer: int, x: str, initial: Sequence[str]) -> tuple[str, list[str]]:
        """One layer's equations on one step: outputs (1, 1, B, R) and last (1, B, ·)."""
        graph, equations = self._graph, self._equations(layer, 0)
        first = graph.integers(0)
        old = [graph.add("Squeeze", [state, first]) for state in initial]
        hoisted = equations.hoist(graph, graph.add("Squeeze", [x, first]))
        new = self._loop(graph, old, equations.step(graph, hoisted, old))
        final = [graph.add("Unsqueeze", [state, first]) for state in new]
        return graph.add("Unsqueeze", [final[0], first]), final

    def _scan(self, layer: int, x: str, initial: Sequence[str]) -> tuple[str, list[str]]:
        """One layer as a Scan a direction: outputs (T, D, B, R) and last (D, B, ·)."""
        graph, network = self._graph, self._network
        outputs, ended = [], []
        for k in range(network.directions):
            row = graph.constant(np.array(k, np.int64))
            old = [graph.add("Gather", [state, row], {"axis": 0}) for state in initial]
            start = []
            if self._resets:
                rows = slice(layer * network.directions, (layer + 1) * network.directions)
                start = [self._start(s, rows) for s in range(len(network.sizes))]
                start = [graph.add("Gather", [state, row], {"axis": 0}) for state in start]
            written, *final = self._scan_one(layer, k, x, old, start)
            outputs.append(graph.add("Unsqueeze", [written, graph.integers(1)]))
            ended.append([graph.add("Unsqueeze", [state, graph.integers(0)]) for state in final])
        beside = graph.add("Concat", outputs, {"axis": 1})
        return beside, [graph.add("Concat", list(s), {"axis": 0}) for s in zip(*ended, strict=True)]

    def _scan_one(
        self, layer: int, k: int, x: str, old: Sequence[str], start: Sequence[str]
    ) -> Sequence[str]:
        graph, network, equations = self._graph, self._network, self._equations(layer, k)
        hoisted = equations.hoist(graph, x) or {-1: x}  # a Scan scans something
        body = Graph(graph.fresh("body"), network.dtype, graph)
        before = [body.fresh(s) for s in network.program.states]
        at = {node: body.fresh("x") for node in hoisted}
        valid = body.fresh("valid") if self._valid else ""
        backwards = int(network.reverse or k == 1)
        reset, carried = body.fresh("reset") if start else "", list(before)
        if start:
            pairs = zip(start, carried, strict=True)
            before = [body.add("Where", [reset, first, state]) for first, state in pairs]
        new = self._loop(body, before, equations.step(body, at, before))
        written = new[0]
        if valid:
            new = [body.add("Where", [valid, n, o]) for n, o in zip(new, before, strict=True)]
            written = body.add("Where", [valid, written, body.number(0)])
        # The values a body returns are its own, each under a name of its own.
        returned = [body.add("Identity", [value]) for value in (*new, written)]
        taken = [(name, network.dtype) for name in (*carried, *at.values())]
        taken += [(name, np.dtype(bool)) for name in (valid, reset) if name]
        scanned = [*hoisted.values(), *([self._valid] if valid else [])]
        scanned += [self._resets[backwards]] if start else []
        attributes = {
            "body": body.body(taken, [(name, network.dtype) for name in returned]),
            "num_scan_inputs": len(scanned),
            "scan_input_directions": [backwards] * len(scanned),
            "scan_output_directions": [backwards],
        }
        names = [graph.fresh("Scan") for _ in returned]
        *final, outputs = graph.add_many("Scan", [*old, *scanned], attributes, names)
        return [outputs, *final]

    def _loop(self, graph: Graph, old: Sequence[str], new: Sequence[str]) -> list[str]:
        """What the loop makes of a cell's new states: zoneout in evaluation."""
        mixed = list(new)
        for k, share in enumerate(self._network.keep):
            if share:
                kept = graph.add("Mul", [old[k], graph.number(share)])
                fresh = graph.add("Mul", [new[k], graph.number(1 - share)])
                mixed[k] = graph.add("Add", [kept, fresh])
        return mixed

    def _equations(self, layer: int, k: int) -> Equations:
        weights = self._network.weights[layer][k]
        return Equations(self._network.program, weights, f"layer{layer}_{k}_")
