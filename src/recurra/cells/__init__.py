"""Recurrent cells as definitions: equations that trace to an immutable program."""

from recurra.cells.carried import CarriedCell, data_of, known
from recurra.cells.definition import Cell, cell, find, find_program, names
from recurra.cells.functions import (
    cos,
    exp,
    hard_sigmoid,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    sin,
    softplus,
    softsign,
    sqrt,
    tanh,
    where,
)
from recurra.cells.graph import FUNCTIONS, Node, Parameter, Program
from recurra.cells.gru import gru
from recurra.cells.lstm import lstm
from recurra.cells.named import CellName
from recurra.cells.program import CellData
from recurra.cells.rnn import rnn

__all__ = [
    "FUNCTIONS",
    "CarriedCell",
    "Cell",
    "CellData",
    "CellName",
    "Node",
    "Parameter",
    "Program",
    "cell",
    "cos",
    "data_of",
    "exp",
    "find",
    "find_program",
    "gru",
    "hard_sigmoid",
    "known",
    "log",
    "lstm",
    "maximum",
    "minimum",
    "names",
    "relu",
    "rnn",
    "sigmoid",
    "sin",
    "softplus",
    "softsign",
    "sqrt",
    "tanh",
    "where",
]
