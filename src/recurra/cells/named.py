"""A cell's name that knows which cell it means."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.cells.definition import Cell


class CellName(str):
    """The name of a cell, in tables of settings: a text wherever one is read, shown or compared.

    It means `cell` for good: also where that is not registered, came with a model, or has been
    replaced by another definition of its name.
    """

    __slots__ = ("cell",)

    cell: "Cell"

    def __new__(cls, cell: "Cell") -> "CellName":
        """Return the name of a cell."""
        made = super().__new__(cls, cell.name)
        made.cell = cell
        return made

    def __copy__(self) -> "CellName":
        return self

    def __deepcopy__(self, memo: object) -> "CellName":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return CellName, (self.cell,)
