"""The programs of cells that are defined in this process, by name and by digest."""

from collections.abc import Mapping
from typing import Any

from recurra.cells import definition
from recurra.cells.definition import Cell, find, others
from recurra.cells.graph import Program
from recurra.cells.matrices import plain
from recurra.cells.named import CellName
from recurra.errors import InputError


def find_program(name: str, options: Mapping[str, Any], digests: Mapping[str, str]) -> Program:
    """Return the program of a cell of that name with those options and digests.

    Args:
        name: of the cell.
        options: arguments of `Cell.program`.
        digests: by the method of `Program` that gives it (`digest`, `meaning`); without any the
            cell defined last is meant.

    Raises:
        InputError: no such cell is defined here, or none by those equations.
    """
    if not digests:
        return find(name).program(**options)
    alike = [name.cell] if isinstance(name, CellName) else definition._defined.get(name, [])
    for found in reversed(alike):
        try:
            program = found.program(**options)
        except InputError:  # another cell of the name, without these options
            continue
        # Layers of before had rows for every gate; operators know programs as kernels run them.
        for one in (program, program.full(), plain(program)):
            if all(getattr(one, method)() == value for method, value in digests.items()):
                return one
    if not alike:
        find(name)
    raise others(name)


def defined(name: str) -> tuple[Cell, ...]:
    """Return all cells of a name that were defined here, what it stands for now at the end."""
    return tuple(definition._defined.get(name, ()))


def names() -> tuple[str, ...]:
    """Return the names of all cells defined so far, sorted."""
    return tuple(sorted(definition._registry))
