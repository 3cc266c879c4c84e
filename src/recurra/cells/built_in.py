"""The cells that come with the package: kernels, pages, help and tests read this table."""

import itertools

from recurra.cells.definition import Cell
from recurra.cells.graph import Program
from recurra.cells.gru import gru
from recurra.cells.lstm import lstm
from recurra.cells.rnn import rnn

#: By name.
BUILT_IN = {cell.name: cell for cell in (rnn, lstm, gru)}


def programs(cell: Cell) -> list[Program]:
    """A cell's programs with every set of its options, the defaults first."""
    sets = itertools.product(*cell.options.values())
    return [cell.program(**dict(zip(cell.options, values, strict=True))) for values in sets]
