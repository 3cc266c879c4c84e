"""A cell as data: its equations as JSON values, written, and read as what a stranger wrote.

A file that holds a cell's program needs no definition: the program is what kernels are compiled
from and what the reference runs. Nothing in it is executed, and what is read is as bounded and as
regular as what a definition traces to.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recurra.cells.graph import (
    FUNCTIONS,
    OVER_UNITS,
    WORDS,
    Node,
    Program,
    form_of,
    is_taken,
    parameters,
    prune,
)
from recurra.cells.matrices import FORMS, GIVEN_FORMS, MOST
from recurra.cells.values import Values, is_whole
from recurra.given import brief

#: The second has starts of states, further inputs, other forms of matrices and sums over units; the
#: third what is fixed or masked.
VERSION = 3
#: The most there may be: what equations in a paper never reach, and any machine still computes.
LIMITS = {"programs": 64, "nodes": 2000, "depth": 200, "gates": 64, "states": 32, "options": 32}
#: What a reader of the first version does not know.
_SECOND = ("raw", "input", "floor", *OVER_UNITS)

#: How many arguments a node has; an affine node has one or none.
_ARITY = {
    **{"state": 0, "weight": 0, "constant": 0, "gate": 1, "neg": 1, "norm": 1, "project": 1},
    **{"add": 2, "sub": 2, "mul": 2},
    **dict.fromkeys(FUNCTIONS, 1),
    **WORDS,
    **dict.fromkeys(OVER_UNITS, 1),
    **{"learnt": 0, "raw": 0, "input": 0},
}
_FUNCTION_OPTIONS = ("activation", "recurrent_activation")

Option = str | bool | float


@dataclass(frozen=True)
class CellData:
    """What a file holds of a cell: its declarations, and the programs of some sets of options.

    Attributes:
        name, states, gates, init, options, learnt, starts, inputs: as those of `Cell`.
        programs: at least one; their options differ.
    """

    name: str
    states: tuple[str, ...]
    gates: tuple[str, ...]
    programs: tuple[Program, ...]
    init: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    learnt: Mapping[str, int] = field(default_factory=dict)
    starts: tuple[float, ...] = ()
    inputs: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        further: dict[str, Any] = {}
        if any(self.starts):
            further["starts"] = [_finite_or_text(start) for start in self.starts]
        if self.inputs:
            further["inputs"] = dict(self.inputs)
        nodes = [node for program in self.programs for node in program.nodes]
        second = further or any(n.op in _SECOND or "/" in n.name for n in nodes)
        third = any(size < 0 for size in self.learnt.values()) or any(
            n.op == "affine" and n.name.partition("/")[2] in GIVEN_FORMS and not n.value
            for n in nodes
        )
        return {
            "version": 3 if third else 2 if second else 1,
            "name": self.name,
            "states": list(self.states),
            "gates": list(self.gates),
            "init": dict(self.init),
            "options": {name: list(values) for name, values in self.options.items()},
            "learnt": dict(self.learnt),
            **further,
            "programs": [_program_json(program) for program in self.programs],
        }

    @classmethod
    def of_program(cls, program: Program) -> "CellData":
        """Return what a file holds of a program alone, whatever else its cell has."""
        listed = {
            name: (value,)
            for name, value in program.options
            if name not in ("bias", *_FUNCTION_OPTIONS)
        }
        learnt = {node.name: int(node.value) for node in program.nodes if node.op == "learnt"}
        names = program.cell, program.states, program.gates
        return cls(
            *names,
            (program,),
            options=listed,
            learnt=learnt,
            starts=program.starts,
            inputs=dict(program.inputs),
        )

    @classmethod
    def from_json(cls, values: Any, where: str) -> "CellData":
        """Read what `to_json` wrote.

        Raises:
            FormatError: it is not that; begins with `where`, and says what was expected.
        """
        return _Reader(where, LIMITS, 2 * LIMITS["nodes"]).cell(values)


def _program_json(program: Program) -> dict[str, Any]:
    return {
        "options": dict(program.options),
        "nodes": [_node_json(node) for node in program.nodes],
        "next": list(program.next),
        "visible": [[name, index] for name, index in program.visible],
    }


def _node_json(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {"op": node.op}
    if node.args:
        found["args"] = list(node.args)
    if node.name:
        found["name"] = node.name
    if node.op == "constant":
        found["value"] = _finite_or_text(node.value)
    if node.gates:
        found["gates"] = list(node.gates)
    if node.normed:
        found["normed"] = True
    return found


def _finite_or_text(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


class _Reader(Values):
    """Reads one cell; `where` begins each message."""

    def cell(self, values: Any) -> CellData:
        table = self.table(values, "a cell")
        version = table.get("version")
        if isinstance(version, int) and version > VERSION:
            self.refuse(
                f"written by a newer version of recurra (format {version}; this one reads up to "
                f"{VERSION}): upgrade"
            )
        expected = {"version", "name", "states", "gates", "init", "options", "learnt", "programs"}
        further = {"starts", "inputs"} & set(table) if version in (2, VERSION) else set()
        self.keys(table, expected | further, "a cell")
        if not is_whole(version) or version not in range(1, VERSION + 1):
            self.refuse(f"expected version 1 to {VERSION}, received {brief(version)}")
        name = self.name(table["name"], "name")
        states = self.names(table["states"], "states")
        gates = self.names(table["gates"], "gates")
        learnt = {
            self.name(one, "learnt"): self._size(size)
            for one, size in self.table(table["learnt"], "learnt").items()
        }
        init = {
            self.among(gate, (*gates, *learnt), "init"): self.finite(value, "init")
            for gate, value in self.table(table["init"], "init").items()
        }
        options = self._options(table["options"])
        starts = self._starts(table.get("starts"), states)
        inputs = {
            self.name(one, "inputs"): self._whole(size, "inputs")
            for one, size in self.table(table.get("inputs", {}), "inputs").items()
        }
        if odd := [one for one in inputs if one in GIVEN_FORMS]:
            self.refuse(f"inputs: the name {odd[0]!r} is a form of matrices")
        if odd := [one for one, size in learnt.items() if size < 0 and one in ("ih", "hh")]:
            self.refuse(f"learnt: the name {odd[0]!r} is a matrix's")
        if len(inputs) > LIMITS["states"]:
            self.refuse(f"inputs: expected at most {LIMITS['states']}, received {len(inputs)}")
        own = (init, options, learnt, starts, inputs)
        programs = tuple(
            self._program(program, CellData(name, states, gates, (), *own))
            for program in self.items(table["programs"], "programs", least=1)
        )
        if len({program.options for program in programs}) < len(programs):
            self.refuse("expected programs of different options, received some twice")
        return CellData(name, states, gates, programs, *own)

    def _starts(self, given: Any, states: tuple[str, ...]) -> tuple[float, ...]:
        if given is None:
            return ()
        found = self.items(given, "starts", exactly=len(states))
        starts = tuple(self.number(start, "starts") for start in found)
        if any(map(math.isnan, starts)):
            self.refuse("starts: expected numbers, received nan")
        return starts

    def _whole(self, value: Any, what: str) -> int:
        if not is_whole(value) or not 0 < value <= MOST:
            self.refuse(
                f"{what}: expected a whole number from 1 to {MOST}, received {brief(value)}"
            )
        return int(value)

    def _size(self, value: Any) -> int:
        if not is_whole(value) or value not in (-1, 0, 1):
            self.refuse(
                f"learnt: expected 0 for H numbers, -1 for fixed ones, or 1, received "
                f"{brief(value)}"
            )
        return int(value)

    def _options(self, given: Any) -> dict[str, tuple[Option, ...]]:
        table = self.table(given, "options")
        if len(table) > LIMITS["options"]:
            self.refuse(f"expected at most {LIMITS['options']} options, received {len(table)}")
        found = {}
        for name, values in table.items():
            chosen = tuple(
                value if isinstance(value, bool | float) else self.name(value, f"option {name}")
                for value in self.items(values, "options", least=1)
            )
            found[self.name(name, "options")] = chosen
        return found

    def _program(self, given: Any, cell: CellData) -> Program:
        states, gates = cell.states, cell.gates
        table = self.table(given, "a program")
        self.keys(table, {"options", "nodes", "next", "visible"}, "a program")
        options = self._chosen(table["options"], cell.options)
        nodes = self._nodes(table["nodes"], cell)
        following = tuple(
            self._signal(index, nodes, "next") for index in self.items(table["next"], "next")
        )
        if len(following) != len(states):
            self.refuse(f"next: expected {len(states)} values, received {len(following)}")
        visible = []
        for pair in self.items(table["visible"], "visible"):
            name, index = self.items(pair, "visible", exactly=2)
            visible.append((self.name(name, "visible"), self._signal(index, nodes, "visible")))
        if len({name for name, _ in visible}) < len(visible):
            self.refuse("visible: expected names that differ")
        roots = (*following, *(index for _, index in visible))
        if prune(nodes, roots)[0] != nodes or len(set(nodes)) < len(nodes):
            self.refuse("nodes: expected none that is there twice or that nothing needs")
        return Program(
            cell=cell.name,
            states=states,
            gates=gates,
            nodes=nodes,
            next=following,
            visible=tuple(visible),
            parameters=parameters(nodes, gates, bias=bool(options["bias"])),
            options=tuple(options.items()),
            starts=cell.starts if any(cell.starts) else (),
            inputs=tuple(cell.inputs.items()),
        )

    def _chosen(self, given: Any, listed: Mapping[str, tuple[Option, ...]]) -> dict[str, Option]:
        table = self.table(given, "options of a program")
        self.keys(table, {*listed, "bias", *_FUNCTION_OPTIONS}, "options of a program")
        usual: dict[str, tuple[Option, ...]] = {
            **listed,
            "bias": (False, True),
            **dict.fromkeys(_FUNCTION_OPTIONS, FUNCTIONS),
        }
        for name, value in table.items():
            if type(usual[name][0]) is float:
                self.finite(value, f"option {name}")
            elif not any(type(value) is type(known) and value == known for known in usual[name]):
                self.refuse(
                    f"option {name}: expected one of {', '.join(map(str, usual[name]))}, "
                    f"received {brief(value)}"
                )
        return {name: table[name] for name in usual}

    def _nodes(self, given: Any, cell: CellData) -> tuple[Node, ...]:
        nodes: list[Node] = []
        depths: list[int] = []
        for values in self.items(given, "nodes", least=1):
            node = self._node(values, nodes, cell)
            nodes.append(node)
            depths.append(1 + max((depths[a] for a in node.args), default=0))
        if max(depths) > LIMITS["depth"]:
            self.refuse(
                f"nodes: expected at most {LIMITS['depth']} that depend on one another in a row, "
                f"received {max(depths)}"
            )
        return tuple(nodes)

    def _node(self, given: Any, before: Sequence[Node], cell: CellData) -> Node:
        what = f"node {len(before)}"
        table = self.table(given, what)
        if extra := sorted(set(table) - {"op", "args", "name", "value", "gates", "normed"}):
            self.refuse(f"{what}: unknown field {brief(extra[0])}")
        op = table.get("op")
        if not isinstance(op, str) or (op not in _ARITY and op != "affine"):
            self.refuse(
                f"{what}: unknown operation {brief(op)}: this version knows "
                f"{', '.join(['affine', *_ARITY])}"
            )
        args = tuple(self.items(table.get("args", []), f"{what}: args"))
        for arg in args:
            if not is_whole(arg) or not 0 <= arg < len(before):
                self.refuse(f"{what}: expected numbers of earlier nodes, received {brief(arg)}")
        fits = len(args) <= 1 if op == "affine" else len(args) == _ARITY[op]
        if not fits:
            self.refuse(f"{what}: {op} has not {len(args)} arguments")
        for arg in args:
            if (before[arg].op == "affine") != (op == "gate"):
                self.refuse(f"{what}: {op} of the node {arg}, which is {before[arg].op}")
        name, value, own = self._particulars(op, args, table, before, cell, what)
        normed = table.get("normed", False)
        if not isinstance(normed, bool) or (normed and op != "affine"):
            self.refuse(f"{what}: normed: expected true of a product alone")
        return Node(op, args, name, value, own, normed)

    def _particulars(
        self,
        op: str,
        args: tuple[int, ...],
        table: Mapping[str, Any],
        before: Sequence[Node],
        cell: CellData,
        what: str,
    ) -> tuple[str, float, tuple[str, ...]]:
        """Name, value and gates, which each operation has or has not."""
        allowed = {"constant": {"value"}, "affine": {"name", "gates", "normed"}}
        named = {"state", "gate", "weight", "learnt", "norm", "project", "input"}
        has = allowed.get(op, {"name"} if op in named else set()) | {"op", "args"}
        if extra := sorted(set(table) - has):
            self.refuse(f"{what}: {op} has no {extra[0]}")
        value, name = 0.0, ""
        own: tuple[str, ...] = ()
        if op == "constant":
            value = self.number(table.get("value"), what)
        if op == "affine":
            own = self.names(table.get("gates"), f"{what}: gates")
            if own != tuple(gate for gate in cell.gates if gate in own):
                self.refuse(f"{what}: expected gates of the cell in their order")
        if op in named or op == "affine":
            name = self.name(table.get("name"), f"{what}: name")
        known = {
            "state": cell.states,
            "learnt": tuple(cell.learnt),
            "gate": before[args[0]].gates if op == "gate" else (),
            "affine": self._products(name, bool(args), cell),
            "input": tuple(one for one, size in cell.inputs.items() if size == 1),
            "project": ("hr",),
        }
        if op == "norm" and is_taken(name):
            self.refuse(f"{what}: the name {brief(name)} is another parameter's")
        if op in known:
            self.among(name, known[op], f"{what}: name")
        if op == "learnt":
            value = float(cell.learnt[name])
        if op == "affine" and name.startswith("ih/") and name[3:] in cell.inputs:
            value = float(cell.inputs[name[3:]])
        return name, value, own

    @staticmethod
    def _products(name: str, recurrent: bool, cell: CellData) -> tuple[str, ...]:
        """Names that a product may have, of which a form with a number is this one."""
        if not recurrent:
            own = (one for one, size in cell.inputs.items() if size > 1)
            return ("ih", *(f"ih/{one}" for one in dict.fromkeys([*own, *GIVEN_FORMS])))
        kind, count = form_of(name)
        counted = kind in ("heads", "rank") and 0 < count <= MOST
        exact = (f"hh/{kind}{count}",) if counted else ()
        return ("hh", *(f"hh/{form}" for form in FORMS), *exact)

    def _signal(self, index: Any, nodes: Sequence[Node], what: str) -> int:
        if not is_whole(index) or not 0 <= index < len(nodes) or nodes[index].op == "affine":
            self.refuse(f"{what}: expected the number of a vector's node, received {brief(index)}")
        return int(index)
