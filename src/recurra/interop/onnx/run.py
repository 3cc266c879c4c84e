"""An ONNX file as a model that runs over numpy: what `recurra.load` makes of one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.checked import checked
from recurra.errors import FormatError, InputError, RecurraError
from recurra.given import brief
from recurra.interop.onnx.memory import NODE, SINGLE, Room, effort, required
from recurra.interop.onnx.numpy_operators import MANY, OPERATORS, OPSET, OUTPUTS
from recurra.interop.onnx.read import Graph, Node, OnnxFile, Value, read_onnx
from recurra.interop.onnx.recurrence import GATES, WEIGHTS, Prepared, Recurrence

#: The places of a recurrent node's inputs besides X and the weights.
_OTHERS = (4, 5, 6)

KNOWN = tuple(sorted({*OPERATORS, *GATES, "Scan"}))

#: Operators that make arrays of a size that stands in what they read.
_MADE = ("ConstantOfShape", "Range")

Environment = dict[str, np.ndarray]


class OnnxModel:
    """A graph of recurrent operators, and of those that stand around them. Needs no torch.

    RNN, LSTM and GRU run as our cells do, on the kernels, with every attribute the standard has.

    Attributes:
        inputs, outputs: what goes in and comes out, with dtypes and shapes.
        notes: what the file says of itself, by name.
    """

    def __init__(self, file: OnnxFile) -> None:
        self._path, self._graph = file.path, file.graph
        self.inputs, self.outputs, self.notes = file.graph.inputs, file.graph.outputs, file.notes
        self._opset = file.opset
        self._prepared: dict[int, Prepared] = {}
        self._attributes: dict[int, Mapping[str, Any]] = {}
        self._done: dict[int, tuple[str, ...]] = {}
        self._weights = list(_weights(file.graph))
        self._prepare(file.graph, file.graph.constants)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: not what is prepared, which is bound to this graph's nodes."""
        kept = {**vars(self)}
        for name in ("_prepared", "_attributes", "_done"):
            del kept[name]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._prepared, self._attributes, self._done = {}, {}, {}
        self._prepare(self._graph, self._graph.constants)

    @classmethod
    @checked
    def load(cls, path: str | Path) -> "OnnxModel":
        """Read a file.

        Raises:
            InputError: the package `onnx` is not installed, or there is no such file.
            FormatError: it is damaged, or has operators or attributes that are not known here.
        """
        return cls(read_onnx(path, known=KNOWN))

    def __repr__(self) -> str:
        shown = [", ".join(map(_shown, values)) for values in (self.inputs, self.outputs)]
        return f"<OnnxModel: {shown[0]} -> {shown[1]}>"

    @checked
    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute all outputs, by name, from all inputs, by name.

        Raises:
            InputError: an input is missing or misshapen, or a node cannot be computed on them.
        """
        wrong = [n for n in inputs if n not in {v.name for v in self.inputs}]
        missing = [v.name for v in self.inputs if v.name not in inputs]
        if wrong or missing:
            told = ", ".join(map(_shown, self.inputs)) or "none"
            names = ", ".join(map(brief, inputs))
            raise InputError(f"expected the inputs {told}, received {names or 'none'}")
        given = {v.name: _checked(np.asarray(inputs[v.name]), v) for v in self.inputs}
        nodes = len(self._graph.nodes)
        once = sum(not any(_inner(node)) for node in self._graph.nodes)
        room = Room(self._weights, given.values(), nodes, len(self._done) - once)
        found = self._run(self._graph, given, {}, room)
        return {v.name: found[v.name] for v in self.outputs}

    def _prepare(self, graph: Graph, constants: Mapping[str, np.ndarray]) -> None:
        """Bind the weights of nodes whose weights are constants, which says now what is wrong.

        Notes after which node each value is read no more, too.
        """
        kept = {v.name for v in graph.outputs}
        for node in reversed(graph.nodes):
            touched = _names_read(node) | set(node.outputs)
            self._done[id(node)] = tuple(touched - kept)
            kept |= touched
        for node in graph.nodes:
            for body in _inner(node):
                # A name of the body's own hides the one outside.
                hidden = {v.name for v in body.inputs}
                outer = {n: a for n, a in constants.items() if n not in hidden}
                self._prepare(body, {**outer, **body.constants})
            if node.op in OPERATORS:
                extra = [n for n in node.outputs[MANY.get(node.op, 1) :] if n]
                if extra:
                    raise FormatError(
                        f"{self._path}: {node.where}: its output {extra[0]!r} is not computed here"
                    )
                more = {OUTPUTS: len(node.outputs), OPSET: self._opset}
                self._attributes[id(node)] = {**node.attributes, **more}
            if node.op in GATES:
                names = {k: node.inputs[p] for k, p in WEIGHTS.items() if p < len(node.inputs)}
                if all(n in constants for n in names.values() if n):
                    given = {k: constants[n] for k, n in names.items() if n}
                    try:
                        bound = Recurrence.read(node.op, node.attributes).prepare(**given)
                    except InputError as error:
                        raise FormatError(f"{self._path}: {node.where}: {error}") from error
                    self._prepared[id(node)] = bound

    def _run(
        self, graph: Graph, given: Mapping[str, np.ndarray], outer: Environment, room: Room
    ) -> Environment:
        # The nearest definition of a name counts: a body's own constants and inputs come last.
        room.work(NODE + len(outer))
        values: Environment = {**outer, **graph.constants, **given}
        for node in graph.nodes:
            read = [values[name] if name else None for name in node.inputs]
            try:
                with np.errstate(all="ignore"):
                    found = self._node(node, read, values, room)
                    made = found if isinstance(found, list | tuple) else [found]
                    if any(node.outputs[len(made) :]):
                        raise InputError(
                            f"makes {len(made)} outputs, but {len(node.outputs)} are named"
                        )
                    arrays = [np.asarray(a) for a in made]
                    if node.op in _MADE:
                        room.work(SINGLE * sum(a.size for a in arrays))
                    for array in arrays:
                        room.hold(array, read)
                    room.need(0)
            except RecurraError as error:
                inner = str(error).removeprefix(f"{self._path}: ")  # of a node in a body
                raise InputError(f"{self._path}: {node.where}: {inner}") from error
            except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
                shapes = ", ".join("none" if a is None else str(a.shape) for a in read)
                raise InputError(
                    f"{self._path}: {node.where}: cannot be computed on arrays of shapes {shapes}"
                ) from error
            except MemoryError as error:
                raise InputError(
                    f"{self._path}: {node.where}: there is not enough memory: give shorter inputs"
                ) from error
            values |= {n: a for n, a in zip(node.outputs, arrays, strict=False) if n}
            del read, found, made, arrays
            for name in self._done[id(node)]:
                values.pop(name, None)
        return values

    def _node(self, node: Node, read: Sequence[Any], values: Environment, room: Room) -> Any:
        if node.op == "Scan":
            return self._scan(node, read, values, room)
        room.work(effort(node.op, read, node.attributes))
        room.need(required(node.op, read, node.attributes))
        if node.op not in GATES:
            return OPERATORS[node.op](read, self._attributes[id(node)])
        prepared = self._prepared.get(id(node))
        if prepared is None:
            weights = {k: read[p] for k, p in WEIGHTS.items() if p < len(read)}
            prepared = Recurrence.read(node.op, node.attributes).prepare(**weights)
        others = [read[p] if p < len(read) else None for p in _OTHERS]
        return prepared.run(read[0], *others)

    def _scan(
        self, node: Node, read: Sequence[Any], values: Environment, room: Room
    ) -> list[np.ndarray]:
        body, count = node.attributes["body"], node.attributes["num_scan_inputs"]
        split = len(read) - count
        if count < 1 or split < 0 or len(body.inputs) != len(read) or len(body.outputs) < split:
            raise InputError(
                f"expected a body of {len(read)} inputs, of which {count} are scanned, "
                f"received one of {len(body.inputs)} inputs and {len(body.outputs)} outputs"
            )
        states, scanned = list(read[:split]), read[split:]
        out = len(body.outputs) - split
        flags = {"scan_input_axes": count, "scan_output_axes": out}
        flags |= {"scan_input_directions": count, "scan_output_directions": out}
        axes_in, axes_out, turned_in, turned_out = (
            list(node.attributes.get(name, [0] * size)) for name, size in flags.items()
        )
        rows = [np.moveaxis(a, axis, 0) for a, axis in zip(scanned, axes_in, strict=True)]
        rows = [a[::-1] if turn else a for a, turn in zip(rows, turned_in, strict=True)]
        steps = {len(a) for a in rows}
        if len(steps) != 1 or not steps - {0}:
            raise InputError(f"expected scanned arrays of one length from 1 on, received {steps}")
        names = [v.name for v in body.inputs]
        collected: list[list[np.ndarray]] = [[] for _ in range(out)]
        for step in zip(*rows, strict=True):
            room.step()
            given = dict(zip(names, (*states, *step), strict=True))
            found = self._run(body, given, values, room)
            results = [found[v.name] for v in body.outputs]
            states = results[:split]
            for one, value in zip(collected, results[split:], strict=True):
                one.append(value)
        room.need(sum(a.nbytes for c in collected for a in c))
        stacked = [
            np.stack(c[::-1] if t else c) for c, t in zip(collected, turned_out, strict=True)
        ]
        return states + [np.moveaxis(a, 0, axis) for a, axis in zip(stacked, axes_out, strict=True)]


def _weights(graph: Graph) -> Iterator[np.ndarray]:
    """The constants of a graph and of those inside it."""
    yield from graph.constants.values()
    for node in graph.nodes:
        for value in node.attributes.values():
            if isinstance(value, Graph):
                yield from _weights(value)
            elif isinstance(value, np.ndarray):
                yield value


def _inner(node: Node) -> Iterator[Graph]:
    """The graphs that a node runs."""
    return (value for value in node.attributes.values() if isinstance(value, Graph))


def _names_read(node: Node) -> set[str]:
    """The names of a node's inputs, and of all that is read in the graphs inside it."""
    names = set(node.inputs)
    for body in _inner(node):
        names |= {v.name for v in body.outputs}.union(*map(_names_read, body.nodes))
    return names


def _checked(array: np.ndarray, value: Value) -> np.ndarray:
    """The input if it is what the file declares; names of axes are free."""
    shape = value.shape
    fits = shape is None or (
        array.ndim == len(shape)
        and all(not isinstance(n, int) or n == m for n, m in zip(shape, array.shape, strict=True))
    )
    if not fits or (value.dtype and array.dtype.name != value.dtype):
        raise InputError(f"expected {_shown(value)}, received {array.dtype.name} {array.shape}")
    return array


def _shown(value: Value) -> str:
    axes = "" if value.shape is None else f" ({', '.join(str(n or '?') for n in value.shape)})"
    return f"{value.name}: {value.dtype or 'any'}{axes}"
