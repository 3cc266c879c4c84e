"""Which cell a `Scan` of an ONNX file is, so that kernels run it.

The programs that it may be are our own cells' and the one in the file's metadata, which is read and
checked as any file's. None of them is believed: what such a cell would be written as is written
once more, without weights, and compared with the nodes of the file, from the states' new values
back to the input. The weights are those that stand in the file where a cell has its own. A `Scan`
that is anything else, in one node or constant, is run node by node.
"""

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.cells import CellData, Program, find
from recurra.errors import RecurraError
from recurra.interop.onnx.pattern import Pattern, Wanted
from recurra.interop.onnx.read import Graph, Node
from recurra.runtime.layer import KernelLayer, Resets, on_kernels

#: Characters of metadata that may be a cell: some programs of the size that models may have.
_MOST_TEXT = 1 << 18
#: Nodes between a Scan and the products of its input.
_MOST_NODES = 1 << 10
#: Attributes of a Scan that say nothing here.
_USUAL = {"scan_input_axes", "scan_output_axes"}


def programs(notes: Mapping[str, str]) -> list[Program]:
    """The programs that a file's Scans may be: that of its metadata first, if it is one."""
    found: list[Program] = []
    text = notes.get("recurra.cell", "")
    if 0 < len(text) <= _MOST_TEXT:
        # Where it is none, the file's nodes say what it computes.
        with contextlib.suppress(RecurraError, ValueError, RecursionError):
            found += CellData.from_json(json.loads(text), "recurra.cell").programs
    flags = (False, True)
    for bias, norm in itertools.product((True, False), flags):
        usual = {"bias": bias, "norm": norm}
        found += [find("rnn").program(activation=a, **usual) for a in ("tanh", "relu")]
        found += [find("gru").program(reset=r, **usual) for r in ("after", "before")]
        for peephole, projection in itertools.product(flags, flags):
            more = {"peephole": peephole, "projection": projection}
            found.append(find("lstm").program(**usual, **more))
    return found


@dataclass(frozen=True, slots=True)
class ScannedLayer:
    """A Scan that is a cell: its layer, and the names of what it reads in the graph around it.

    Attributes:
        layer: on the kernels.
        sizes: R or H, of each state; `inputs`: I; `gates`: rows of the larger matrix.
        x: the input (T, B, I).
        states: the first states; `start`: those after a reset.
        valid, reset: booleans (T, B, 1), or "".
        reverse: from the last step to the first.
        replaced: nodes that only this Scan reads, which need not run.
    """

    layer: KernelLayer
    sizes: tuple[int, ...]
    inputs: int
    gates: int
    x: str
    states: tuple[str, ...]
    start: tuple[str, ...]
    valid: str
    reset: str
    reverse: bool
    replaced: tuple[Node, ...]

    def run(self, values: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
        """Final states and outputs; None where arrays have other shapes or dtypes than a cell's."""
        x, real = values[self.x], np.float32
        if x.ndim != 3 or x.dtype != real or x.shape[2] != self.inputs or not x.shape[0]:
            return None
        steps, batch = x.shape[:2]
        shapes = [(batch, size) for size in self.sizes]
        groups = [[values[n] for n in names] for names in (self.states, self.start) if names]
        if any([(a.shape, a.dtype) for a in g] != [(s, real) for s in shapes] for g in groups):
            return None
        masks = [values[name] for name in (self.valid, self.reset) if name]
        if any((m.shape, m.dtype) != ((steps, batch, 1), np.bool_) for m in masks):
            return None
        flags = [np.ascontiguousarray(m[..., 0]) for m in masks]
        resets = Resets(flags[-1], tuple(groups[1])) if self.reset else None
        y, last = self.layer.run(
            x,
            tuple(groups[0]),
            flags[0] if self.valid else None,
            reverse=self.reverse,
            resets=resets,
        )
        return [*last, y]


def recognised(
    node: Node, graph: Graph, constants: Mapping[str, np.ndarray], candidates: Sequence[Program]
) -> ScannedLayer | None:
    """Return the cell that a Scan of a graph is, or None.

    Args:
        node: of the graph.
        graph: the file's outermost.
        constants: of it.
        candidates: programs that it may be.
    """
    scan = _Scan.read(node, graph, constants)
    if scan is None:
        return None
    for program in candidates:
        if len(program.states) != scan.states:
            continue
        for hidden, projection in scan.sizes(program):
            for marks, mixed in scan.forms(len(program.states)):
                found = _Comparison(scan, program, hidden, projection, marks, mixed).layer()
                if found is not None:
                    return found
    return None


class _Scan:
    """A Scan of a file, with where the values that it names come from."""

    def __init__(self, node: Node, graph: Graph, constants: Mapping[str, np.ndarray]) -> None:
        self.node, self.graph, self.body = node, graph, node.attributes["body"]
        given = {v.name for v in graph.inputs}
        self.constants = {n: a for n, a in constants.items() if n not in given}
        self.count = node.attributes["num_scan_inputs"]
        self.states = len(node.inputs) - self.count
        self.reverse = False
        self.place = {v.name: k for k, v in enumerate(self.body.inputs)}
        self.inner = {n: (k, m) for k, m in enumerate(self.body.nodes) for n in m.outputs}
        self.outer = {n: (k, m) for k, m in enumerate(graph.nodes) for n in m.outputs}
        self.at = next(k for k, m in enumerate(graph.nodes) if m is node)

    @classmethod
    def read(cls, node: Node, graph: Graph, constants: Mapping[str, np.ndarray]) -> "_Scan | None":
        """The Scan, if it is of a form that cells have."""
        scan, attributes = cls(node, graph, constants), node.attributes
        body, out = scan.body, len(scan.body.outputs) - scan.states
        if scan.count < 1 or scan.states < 1 or out != 1 or len(body.inputs) != len(node.inputs):
            return None
        if any(any(attributes.get(name, ())) for name in _USUAL) or body.constants:
            return None
        turned = list(attributes.get("scan_input_directions", [0] * scan.count))
        turned += list(attributes.get("scan_output_directions", [0]))
        if len(turned) != scan.count + 1 or len(set(turned)) != 1:
            return None
        scan.reverse = bool(turned[0])
        # Each name has one meaning, whatever the order in which it is looked for.
        named = [v.name for v in body.inputs] + [n for m in body.nodes for n in m.outputs]
        around = [v.name for v in graph.inputs] + [n for m in graph.nodes for n in m.outputs if n]
        around += list(scan.constants)
        if len(set(named)) < len(named) or len(set(around)) < len(around):
            return None
        return None if set(named) & set(around) or "" in node.inputs else scan

    def sizes(self, program: Program) -> Iterator[tuple[int, int]]:
        """H and P, as the constants of the products allow them."""
        gates = {len(n.gates) for n in program.nodes if n.op == "affine" and not n.args}
        widths = {a.shape[1] for a in self._first_products()}
        hidden = {w // g for w in widths for g in gates if w and w % g == 0}
        inner = [self.constants.get(n) for m in self.body.nodes for n in m.inputs[1:2]]
        other = {a.shape[1] for a in inner if a is not None and a.ndim == 2}
        projected = any(p.name == "weight_hr" for p in program.parameters)
        yield from itertools.product(sorted(hidden)[:4], sorted(other)[:8] if projected else [0])

    @property
    def inputs(self) -> int:
        """I, as the first product's constant has it."""
        return next((a.shape[0] for a in self._first_products()), 0)

    def _first_products(self) -> list[np.ndarray]:
        """The constants by which the values that are scanned were multiplied."""
        found, names, seen = [], list(self.node.inputs[self.states :]), set[str]()
        while names and len(seen) < _MOST_NODES:
            name = names.pop()
            _, node = self.outer.get(name, (0, None))
            if node is None or name in seen or node.op == "Scan":
                continue
            seen.add(name)
            weight = self.constants.get(node.inputs[-1]) if node.inputs else None
            if node.op == "MatMul" and weight is not None and weight.ndim == 2:
                found.append(weight)
            else:
                names += node.inputs
        return found

    def forms(self, states: int) -> Iterator[tuple[tuple[str, ...], tuple[bool, ...]]]:
        """What may be scanned beside the input's products; and whether zoneout mixes states."""
        for marks in ((), ("valid",), ("reset",), ("valid", "reset")):
            for mixed in (False, True):
                yield marks, (mixed,) * states


class _Comparison:
    """A Scan beside what a program would be written as."""

    def __init__(
        self,
        scan: _Scan,
        program: Program,
        hidden: int,
        projection: int,
        marks: tuple[str, ...],
        mixed: tuple[bool, ...],
    ) -> None:
        self.scan, self.program, self.marks, self.mixed = scan, program, marks, mixed
        sizes = {"gates": len(program.gates), "inputs": scan.inputs, "hidden": hidden}
        self.shapes = {p.name: p.shape(**sizes, projection=projection) for p in program.parameters}
        self.weights: dict[str, np.ndarray] = {}
        self.filled: dict[str, np.ndarray] = {}
        self.bound: dict[tuple[str, bool], str] = {}
        self.numbers: dict[str, float] = {}
        self.hoisting: set[str] = set()

    def layer(self) -> ScannedLayer | None:
        """The layer, if all agrees."""
        scan, program, states = self.scan, self.program, range(self.scan.states)
        pattern = Pattern()
        zero = np.float32(0)  # of any shape, in no memory
        empty = {n: np.broadcast_to(zero, shape) for n, shape in self.shapes.items()}
        equations = Wanted(program, empty, "")
        hoisted = equations.hoist(pattern, "x")
        if not hoisted or len(hoisted) + len(self.marks) != scan.count:
            return None
        self.leaves = {f"old{k}": k for k in states}
        self.leaves |= {f"at{i}": scan.states + k for k, i in enumerate(hoisted)}
        first = scan.states + len(hoisted)
        self.leaves |= {mark: first + k for k, mark in enumerate(self.marks)}
        before = [f"old{k}" for k in states]
        if "reset" in self.marks:
            before = [pattern.add("Where", ["reset", f"start{k}", f"old{k}"]) for k in states]
        new = equations.step(pattern, {i: f"at{i}" for i in hoisted}, before)
        for k in states:
            if self.mixed[k]:
                kept = pattern.add("Mul", [before[k], f"share{k}"])
                new[k] = pattern.add("Add", [kept, pattern.add("Mul", [new[k], f"rest{k}"])])
        written = new[0]
        if "valid" in self.marks:
            new = [pattern.add("Where", ["valid", new[k], before[k]]) for k in states]
            written = pattern.add("Where", ["valid", written, pattern.number(0)])
        inner = [pattern.add("Identity", [value]) for value in (*new, written)]
        ends = zip(inner, [v.name for v in scan.body.outputs], strict=True)
        names = zip(hoisted.values(), scan.node.inputs[scan.states :], strict=False)
        pairs = [(*pair, True) for pair in ends] + [(*pair, False) for pair in names]
        if not self._agree(pattern, pairs):
            return None
        return self._made()

    def _agree(self, pattern: Pattern, pairs: list[tuple[str, str, bool]]) -> bool:
        """Whether values are what they have to be: by what is wanted, a name, and where it is."""
        scan, seen = self.scan, set[tuple[str, bool]]()
        last = {True: len(scan.body.nodes), False: scan.at}
        stack = [(want, name, inner, last[inner]) for want, name, inner in pairs]
        while stack:
            want, name, inner, end = stack.pop()
            if want not in pattern.made:
                if not self._leaf(pattern, want, name, inner):
                    return False
                continue
            op, inputs, attributes = pattern.made[want]
            place, node = (scan.inner if inner else scan.outer).get(name, (end, None))
            if node is None or place >= end or node.op != op or node.outputs != (name,):
                return False
            if self.bound.setdefault((want, inner), name) != name:
                return False
            if len(node.inputs) != len(inputs) or not _alike(node.attributes, attributes):
                return False
            if (name, inner) in seen:
                continue
            seen.add((name, inner))
            if not inner:
                self.hoisting.add(name)
            pair = zip(inputs, node.inputs, strict=True)
            stack += [(one, other, inner, place) for one, other in pair]
        return True

    def _leaf(self, pattern: Pattern, want: str, name: str, inner: bool) -> bool:
        scan = self.scan
        if want in self.leaves:
            return inner and scan.place.get(name) == self.leaves[want]
        if inner and (name in scan.place or name in scan.inner):
            return False
        value = scan.constants.get(name)
        if want in pattern.values:
            return value is not None and _same(value, pattern.values[want])
        if want in pattern.weights:
            return value is not None and self._weight(value, *pattern.weights[want])
        if want.startswith(("share", "rest")):
            if value is None or value.shape != () or value.dtype != np.float32:
                return False
            return self.numbers.setdefault(want, float(value)) == float(value)
        known = name in scan.constants or name in {v.name for v in scan.graph.inputs}
        known = known or scan.outer.get(name, (scan.at, None))[0] < scan.at
        return known and self.bound.setdefault((want, False), name) == name

    def _weight(
        self, value: np.ndarray, name: str, gates: tuple[str, ...] | None, turn: bool
    ) -> bool:
        """Put a constant to where the parameter has it, if it fits in with others."""
        shape, every = self.shapes[name], self.program.span(name.rpartition("_")[2])
        part = value.T if turn else value
        share = shape[0] // len(every) if gates else shape[0]
        expected = (share * len(gates) if gates else share, *shape[1:])
        if part.dtype != np.float32 or part.shape != expected:
            return False
        if name not in self.weights:
            self.weights[name] = np.zeros(shape, np.float32)
            self.filled[name] = np.zeros(shape[0], bool)
        whole, filled = self.weights[name], self.filled[name]
        starts = [every.index(gate) * share for gate in gates] if gates else [0]
        for k, start in enumerate(starts):
            at, rows = slice(start, start + share), part[k * share : (k + 1) * share]
            if filled[at].any() and whole[at].tobytes() != rows.tobytes():
                return False
            whole[at], filled[at] = rows, True
        return True

    def _made(self) -> ScannedLayer | None:
        scan, program = self.scan, self.program
        complete = all(n in self.filled and self.filled[n].all() for n in self.shapes)
        if not complete or ("x", False) not in self.bound:
            return None
        keep = [self.numbers.get(f"share{k}", 0.0) for k in range(scan.states)]
        rest = [self.numbers.get(f"rest{k}", 1.0) for k in range(scan.states)]
        if any(abs(1 - k - r) > 1e-7 or not 0 <= k <= 1 for k, r in zip(keep, rest, strict=True)):
            return None
        if not on_kernels(program, self.weights):
            return None
        hidden, recurrent = program.widths([self.shapes[p.name] for p in program.parameters])
        names, outer = range(scan.states), list(scan.node.inputs)
        marks = dict(zip(self.marks, outer[len(outer) - len(self.marks) :], strict=True))
        resets = "reset" in self.marks
        return ScannedLayer(
            KernelLayer(program, self.weights, keep if any(keep) else ()),
            (recurrent, *[hidden] * (scan.states - 1)),
            scan.inputs,
            max(shape[0] for shape in self.shapes.values()),
            self.bound["x", False],
            tuple(outer[: scan.states]),
            # A state that no equation reads has none.
            tuple(self.bound.get((f"start{k}", False), outer[k]) for k in names if resets),
            marks.get("valid", ""),
            marks.get("reset", ""),
            scan.reverse,
            tuple(self._replaced()),
        )

    def _replaced(self) -> list[Node]:
        """Of the nodes before the Scan that are part of the cell, those that nothing else reads."""
        scan = self.scan
        found = [n for n in scan.graph.nodes if self.hoisting & set(n.outputs)]
        shown = {v.name for v in scan.graph.outputs}
        others = [n for n in scan.graph.nodes if n is not scan.node]
        while True:
            here = {id(n) for n in found}
            read = set().union(shown, *(names_read(n) for n in others if id(n) not in here))
            read |= names_read(scan.node) - set(scan.node.inputs[scan.states :])
            read |= set(scan.node.inputs[len(scan.node.inputs) - len(self.marks) :])
            left = [n for n in found if not read & set(n.outputs)]
            if len(left) == len(found):
                return found
            found = left


def names_read(node: Node) -> set[str]:
    """The names of a node's inputs, and of all that is read in the graphs inside it."""
    names = set(node.inputs)
    for body in node.attributes.values():
        if isinstance(body, Graph):
            names |= {v.name for v in body.outputs}.union(*map(names_read, body.nodes))
    return names


def _alike(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    if given.keys() != wanted.keys():
        return False
    return all(np.array_equal(np.asarray(given[n]), np.asarray(v)) for n, v in wanted.items())


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and one.tobytes() == other.tobytes()
