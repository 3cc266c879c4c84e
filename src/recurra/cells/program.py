"""A cell as data: its equations as JSON values, written, and read as what a stranger wrote.

A file that holds a cell's program needs no definition: the program is what kernels are compiled
from and what the reference runs. Nothing in it is executed, and what is read is as bounded and as
regular as what a definition traces to.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from recurra.cells.graph import FUNCTIONS, WORDS, Node, Program, is_taken, parameters, prune
from recurra.errors import FormatError
from recurra.given import brief

VERSION = 1
#: The most there may be: what equations in a paper never reach, and any machine still computes.
LIMITS = {"programs": 64, "nodes": 2000, "depth": 200, "gates": 64, "states": 32, "options": 32}
_NAME = 100  # characters

#: How many arguments a node has; an affine node has one or none.
_ARITY = {
    **{"state": 0, "weight": 0, "constant": 0, "gate": 1, "neg": 1, "norm": 1, "project": 1},
    **{"add": 2, "sub": 2, "mul": 2},
    **dict.fromkeys(FUNCTIONS, 1),
    **WORDS,
    "learnt": 0,
}
_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_FUNCTION_OPTIONS = ("activation", "recurrent_activation")

Option = str | bool | float


@dataclass(frozen=True)
class CellData:
    """What a file holds of a cell: its declarations, and the programs of some sets of options.

    Attributes:
        name, states, gates, init, options, learnt: as those of `Cell`.
        programs: at least one; their options differ.
    """

    name: str
    states: tuple[str, ...]
    gates: tuple[str, ...]
    programs: tuple[Program, ...]
    init: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    learnt: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "version": VERSION,
            "name": self.name,
            "states": list(self.states),
            "gates": list(self.gates),
            "init": dict(self.init),
            "options": {name: list(values) for name, values in self.options.items()},
            "learnt": dict(self.learnt),
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
        return cls(*names, (program,), options=listed, learnt=learnt)

    @classmethod
    def from_json(cls, values: Any, where: str) -> "CellData":
        """Read what `to_json` wrote.

        Raises:
            FormatError: it is not that; begins with `where`, and says what was expected.
        """
        return _Reader(where).cell(values)


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
        value = node.value
        found["value"] = value if math.isfinite(value) else str(value)
    if node.gates:
        found["gates"] = list(node.gates)
    if node.normed:
        found["normed"] = True
    return found


class _Reader:
    """Reads one cell; `where` begins each message."""

    def __init__(self, where: str) -> None:
        self.where = where

    def cell(self, values: Any) -> CellData:
        table = self._table(values, "a cell")
        version = table.get("version")
        if isinstance(version, int) and version > VERSION:
            self._refuse(
                f"written by a newer version of recurra (format {version}; this one reads up to "
                f"{VERSION}): upgrade"
            )
        expected = {"version", "name", "states", "gates", "init", "options", "learnt", "programs"}
        self._keys(table, expected, "a cell")
        if version != VERSION:
            self._refuse(f"expected version {VERSION}, received {brief(version)}")
        name = self._name(table["name"], "name")
        states = self._names(table["states"], "states")
        gates = self._names(table["gates"], "gates")
        learnt = {
            self._name(one, "learnt"): self._size(size)
            for one, size in self._table(table["learnt"], "learnt").items()
        }
        init = {
            self._among(gate, (*gates, *learnt), "init"): self._finite(value, "init")
            for gate, value in self._table(table["init"], "init").items()
        }
        options = self._options(table["options"])
        programs = tuple(
            self._program(program, CellData(name, states, gates, (), init, options, learnt))
            for program in self._list(table["programs"], "programs", least=1)
        )
        if len({program.options for program in programs}) < len(programs):
            self._refuse("expected programs of different options, received some twice")
        return CellData(name, states, gates, programs, init, options, learnt)

    def _size(self, value: Any) -> int:
        if not _is_whole(value) or value not in (0, 1):
            self._refuse(f"learnt: expected 0 for H numbers or 1, received {brief(value)}")
        return int(value)

    def _options(self, given: Any) -> dict[str, tuple[Option, ...]]:
        table = self._table(given, "options")
        if len(table) > LIMITS["options"]:
            self._refuse(f"expected at most {LIMITS['options']} options, received {len(table)}")
        found = {}
        for name, values in table.items():
            chosen = tuple(
                value if isinstance(value, bool | float) else self._name(value, f"option {name}")
                for value in self._list(values, "options", least=1)
            )
            found[self._name(name, "options")] = chosen
        return found

    def _program(self, given: Any, cell: CellData) -> Program:
        states, gates = cell.states, cell.gates
        table = self._table(given, "a program")
        self._keys(table, {"options", "nodes", "next", "visible"}, "a program")
        options = self._chosen(table["options"], cell.options)
        nodes = self._nodes(table["nodes"], cell)
        following = tuple(
            self._signal(index, nodes, "next") for index in self._list(table["next"], "next")
        )
        if len(following) != len(states):
            self._refuse(f"next: expected {len(states)} values, received {len(following)}")
        visible = []
        for pair in self._list(table["visible"], "visible"):
            name, index = self._list(pair, "visible", exactly=2)
            visible.append((self._name(name, "visible"), self._signal(index, nodes, "visible")))
        if len({name for name, _ in visible}) < len(visible):
            self._refuse("visible: expected names that differ")
        roots = (*following, *(index for _, index in visible))
        if prune(nodes, roots)[0] != nodes or len(set(nodes)) < len(nodes):
            self._refuse("nodes: expected none that is there twice or that nothing needs")
        return Program(
            cell=cell.name,
            states=states,
            gates=gates,
            nodes=nodes,
            next=following,
            visible=tuple(visible),
            parameters=parameters(nodes, gates, bias=bool(options["bias"])),
            options=tuple(options.items()),
        )

    def _chosen(self, given: Any, listed: Mapping[str, tuple[Option, ...]]) -> dict[str, Option]:
        table = self._table(given, "options of a program")
        self._keys(table, {*listed, "bias", *_FUNCTION_OPTIONS}, "options of a program")
        usual: dict[str, tuple[Option, ...]] = {
            **listed,
            "bias": (False, True),
            **dict.fromkeys(_FUNCTION_OPTIONS, FUNCTIONS),
        }
        for name, value in table.items():
            if type(usual[name][0]) is float:
                self._finite(value, f"option {name}")
            elif not any(type(value) is type(known) and value == known for known in usual[name]):
                self._refuse(
                    f"option {name}: expected one of {', '.join(map(str, usual[name]))}, "
                    f"received {brief(value)}"
                )
        return {name: table[name] for name in usual}

    def _nodes(self, given: Any, cell: CellData) -> tuple[Node, ...]:
        nodes: list[Node] = []
        depths: list[int] = []
        for values in self._list(given, "nodes", least=1):
            node = self._node(values, nodes, cell)
            nodes.append(node)
            depths.append(1 + max((depths[a] for a in node.args), default=0))
        if max(depths) > LIMITS["depth"]:
            self._refuse(
                f"nodes: expected at most {LIMITS['depth']} that depend on one another in a row, "
                f"received {max(depths)}"
            )
        return tuple(nodes)

    def _node(self, given: Any, before: Sequence[Node], cell: CellData) -> Node:
        what = f"node {len(before)}"
        table = self._table(given, what)
        if extra := sorted(set(table) - {"op", "args", "name", "value", "gates", "normed"}):
            self._refuse(f"{what}: unknown field {brief(extra[0])}")
        op = table.get("op")
        if not isinstance(op, str) or (op not in _ARITY and op != "affine"):
            self._refuse(
                f"{what}: unknown operation {brief(op)}: this version knows "
                f"{', '.join(['affine', *_ARITY])}"
            )
        args = tuple(self._list(table.get("args", []), f"{what}: args"))
        for arg in args:
            if not _is_whole(arg) or not 0 <= arg < len(before):
                self._refuse(f"{what}: expected numbers of earlier nodes, received {brief(arg)}")
        fits = len(args) <= 1 if op == "affine" else len(args) == _ARITY[op]
        if not fits:
            self._refuse(f"{what}: {op} has not {len(args)} arguments")
        for arg in args:
            if (before[arg].op == "affine") != (op == "gate"):
                self._refuse(f"{what}: {op} of the node {arg}, which is {before[arg].op}")
        name, value, own = self._particulars(op, args, table, before, cell, what)
        normed = table.get("normed", False)
        if not isinstance(normed, bool) or (normed and op != "affine"):
            self._refuse(f"{what}: normed: expected true of a product alone")
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
        named = {"state", "gate", "weight", "learnt", "norm", "project"}
        has = allowed.get(op, {"name"} if op in named else set()) | {"op", "args"}
        if extra := sorted(set(table) - has):
            self._refuse(f"{what}: {op} has no {extra[0]}")
        value, name = 0.0, ""
        own: tuple[str, ...] = ()
        if op == "constant":
            value = self._number(table.get("value"), what)
        if op == "affine":
            own = self._names(table.get("gates"), f"{what}: gates")
            if own != tuple(gate for gate in cell.gates if gate in own):
                self._refuse(f"{what}: expected gates of the cell in their order")
        if op in named or op == "affine":
            name = self._name(table.get("name"), f"{what}: name")
        known = {
            "state": cell.states,
            "learnt": tuple(cell.learnt),
            "gate": before[args[0]].gates if op == "gate" else (),
            "affine": ("hh",) if args else ("ih",),
            "project": ("hr",),
        }
        if op == "norm" and is_taken(name):
            self._refuse(f"{what}: the name {brief(name)} is another parameter's")
        if op in known:
            self._among(name, known[op], f"{what}: name")
        if op == "learnt":
            value = float(cell.learnt[name])
        return name, value, own

    def _signal(self, index: Any, nodes: Sequence[Node], what: str) -> int:
        if not _is_whole(index) or not 0 <= index < len(nodes) or nodes[index].op == "affine":
            self._refuse(f"{what}: expected the number of a vector's node, received {brief(index)}")
        return int(index)

    def _number(self, value: Any, what: str) -> float:
        if isinstance(value, str) and value in _NUMBERS:
            return _NUMBERS[value]
        return self._finite(value, what)

    def _finite(self, value: Any, what: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse(f"{what}: expected a number, received {brief(value)}")
        try:
            return float(value)
        except OverflowError:
            self._refuse(f"{what}: expected a number of 64 bits, received a larger one")

    def _names(self, given: Any, what: str) -> tuple[str, ...]:
        found = tuple(self._name(name, what) for name in self._list(given, what, least=1))
        if len(set(found)) < len(found):
            self._refuse(f"{what}: expected names that differ")
        return found

    def _name(self, value: Any, what: str) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= _NAME:
            self._refuse(
                f"{what}: expected a name of 1 to {_NAME} characters, received {brief(value)}"
            )
        return value

    def _among(self, name: Any, known: Iterable[str], what: str) -> str:
        if name not in known:
            self._refuse(f"{what}: expected one of {', '.join(known)}, received {brief(name)}")
        return str(name)

    def _list(self, given: Any, what: str, *, least: int = 0, exactly: int = 0) -> list[Any]:
        if not isinstance(given, list):
            self._refuse(f"{what}: expected a list, received {brief(given)}")
        most = LIMITS.get(what.rpartition(" ")[2], 2 * LIMITS["nodes"])
        if len(given) < least or len(given) > most or (exactly and len(given) != exactly):
            count = exactly or f"{least} to {most}"
            self._refuse(f"{what}: expected {count} values, received {len(given)}")
        return given

    def _table(self, given: Any, what: str) -> Mapping[str, Any]:
        if not isinstance(given, Mapping):
            self._refuse(f"{what}: expected a JSON object, received {brief(given)}")
        return given

    def _keys(self, table: Mapping[str, Any], expected: set[str], what: str) -> None:
        if set(table) != expected:
            odd = sorted(set(table) ^ expected)[0]
            state = "is missing" if odd in expected else "is unknown"
            self._refuse(f"{what}: expected {', '.join(sorted(expected))}; {brief(odd)} {state}")

    def _refuse(self, text: str) -> NoReturn:
        raise FormatError(f"{self.where}: {text}") from None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
