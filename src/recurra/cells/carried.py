"""Cells that come with a file: known by their programs, where their definition is not."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from recurra.cells import declared, written
from recurra.cells.definition import Cell
from recurra.cells.graph import Program
from recurra.cells.program import CellData
from recurra.cells.registry import defined
from recurra.cells.trace import check_function
from recurra.errors import InputError


class CarriedCell(Cell):
    """A cell without a definition, which has the programs that a file holds of it, and no others.

    Layers, tasks and kernels take it as any cell. Other options than the file's need the
    definition.
    """

    def __init__(self, data: CellData) -> None:
        self.data = data
        self.name, self.states, self.gates = data.name, data.states, data.gates
        self.init, self.options = dict(data.init), dict(data.options)
        self.learnt, self.inputs = dict(data.learnt), dict(data.inputs)
        self.drawn = {}
        self.starts = data.starts or (0.0,) * len(data.states)
        self._by_options = {program.options: program for program in data.programs}
        self.program = self._carried  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<cell {self.name}, as it came with a file: states {' '.join(self.states)}>"

    def __reduce__(self) -> tuple[Callable[..., Cell], tuple[Any, ...]]:
        return _restored, (self.data.to_json(),)

    @property
    def digest(self) -> str:
        """What tells it from others of its name."""
        text = json.dumps(self.data.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _carried(
        self,
        *,
        bias: bool = True,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        **options: str | bool | float,
    ) -> Program:
        where = f"cell {self.name},"
        check_function(activation, f"{where} activation")
        check_function(recurrent_activation, f"{where} recurrent_activation")
        chosen = (
            *self._choose(options).items(),
            ("bias", bool(bias)),
            ("activation", activation),
            ("recurrent_activation", recurrent_activation),
        )
        program = self._by_options.get(chosen)
        if program is None:
            known = " or ".join(_shown(dict(own)) for own in self._by_options)
            raise InputError(
                f"{where} as it came with a model: expected the options {known}, received "
                f"{_shown(dict(chosen))}: import its definition for others"
            )
        return program


def data_of(cell: Cell, *programs: Program) -> CellData:
    """Return what a file has to hold of a cell that runs with these programs, and plainly."""
    if isinstance(cell, CarriedCell):
        return cell.data
    found = list(dict.fromkeys([*programs, cell.program()]))
    names = cell.name, cell.states, cell.gates
    starts = cell.starts if any(cell.starts) else ()
    return CellData(*names, tuple(found), cell.init, cell.options, cell.learnt, starts, cell.inputs)


def known(data: CellData, where: str) -> Cell:
    """Return the cell that a file holds: by its definition where that is at hand.

    Raises:
        InputError: the name stands for a cell of other equations here.
    """
    found = defined(data.name)
    differ: tuple[str, str] | None = None
    for cell in found:
        differ = _difference(cell, data)
        if differ is None:
            return cell
    if differ is not None:
        ours, theirs = differ
        place = declared.place(found[-1].define)
        raise InputError(
            f"{where}: the cell {data.name!r} that it was made with has {theirs}, and the "
            f"definition here{place} has {ours}: import the right one, or rename this one"
        )
    return CarriedCell(data)


def _difference(cell: Cell, data: CellData) -> tuple[str, str] | None:
    """In what a definition differs from what a file holds, as each has it; None where it agrees."""
    pair = f"options {_listed(cell.options)}", f"options {_listed(data.options)}"
    for theirs in data.programs:
        chosen = dict(theirs.options)
        lacking = [name for name in data.options if name not in cell.options]
        try:
            ours = cell.program(**{n: v for n, v in chosen.items() if n not in lacking})
        except InputError:  # options of other values
            return pair
        if (differ := written.difference(ours, theirs)) is not None:
            return differ
        if lacking:
            return pair
    return None


def _restored(values: Mapping[str, Any]) -> Cell:
    data = CellData.from_json(values, "a pickled cell")
    return known(data, "a pickled cell")


def _listed(options: Mapping[str, tuple[object, ...]]) -> str:
    return " ".join(f"{n}={'|'.join(map(str, v))}" for n, v in options.items()) or "none"


def _shown(options: Mapping[str, object]) -> str:
    return "(" + ", ".join(f"{name}={value}" for name, value in options.items()) + ")"
