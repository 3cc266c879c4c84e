"""Recurrent cells as definitions: equations that trace to an immutable program."""

from recurra.cells.built_in import BUILT_IN, programs
from recurra.cells.carried import CarriedCell, data_of, known
from recurra.cells.definition import Cell, cell, find
from recurra.cells.functions import (
    before,
    cos,
    exp,
    floor,
    hard_sigmoid,
    log,
    maximum,
    mean,
    minimum,
    relu,
    sigmoid,
    sin,
    softmax,
    softplus,
    softsign,
    sqrt,
    tanh,
    total,
    where,
)
from recurra.cells.graph import FUNCTIONS, Node, Parameter, Program
from recurra.cells.gru import gru
from recurra.cells.lstm import lstm
from recurra.cells.named import CellName
from recurra.cells.program import CellData
from recurra.cells.registry import find_program, names
from recurra.cells.rnn import rnn

__all__ = [
    "BUILT_IN",
    "FUNCTIONS",
    "CarriedCell",
    "Cell",
    "CellData",
    "CellName",
    "Node",
    "Parameter",
    "Program",
    "before",
    "cell",
    "cos",
    "data_of",
    "exp",
    "find",
    "find_program",
    "floor",
    "gru",
    "hard_sigmoid",
    "known",
    "log",
    "lstm",
    "maximum",
    "mean",
    "minimum",
    "names",
    "programs",
    "relu",
    "rnn",
    "sigmoid",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "sqrt",
    "tanh",
    "total",
    "where",
]
