"""A call of one direction of one layer, as tensors and a name that any process can read."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program, find
from recurra.errors import InputError


class Arguments(NamedTuple):
    """Of one call.

    Attributes:
        name: of the program, as `kernel_name` gives it.
        x: inputs (T, B, I).
        parameters: in the order of `program.parameters`.
        initial: per state (B, R) or (B, H); or with an axis of layers in front, as a module's are,
            and the final ones have it, too; or empty: zeros of that kind.
        valid: booleans (T, B), or None.
        mask: factors (B, R) on what enters a recurrent product, or None.
        keep: per state factors (T, B, ·), the share of the old state that stays, or None; empty
            where there are none.
        rates: per state that share as a number, where `keep` has None.
        reverse: from the last step to the first.
        half: products in bfloat16.
        tokens: int64 (T, B): the input at a step is that row of x, which is (V, I); or None.
    """

    name: str
    x: Tensor
    parameters: Sequence[Tensor]
    initial: Sequence[Tensor]
    valid: Tensor | None
    mask: Tensor | None
    keep: Sequence[Tensor | None]
    rates: Sequence[float]
    reverse: bool
    half: bool = False
    tokens: Tensor | None = None

    @property
    def steps(self) -> torch.Size:
        """T and B."""
        return (self.x if self.tokens is None else self.tokens).shape[:2]

    @property
    def stacked(self) -> bool:
        """Whether states have an axis of layers in front."""
        return not self.initial or self.initial[0].dim() == 3


#: Programs that have a name here, also after their definition was replaced by another.
_named: dict[str, Program] = {}


def program_name(program: Program) -> str | None:
    """Return a name of the program; None for a cell that no other process would find either.

    Any process can read the name that has the cell's definition. It holds a digest of the equations
    where they are a user's, who may change them and keep the cell's name.
    """
    try:
        defined = find(program.cell).program(**dict(program.options))
    except InputError:
        return None
    if defined != program:
        return None
    parts: list[Any] = [program.cell, dict(program.options)]
    own = not native.built_in(program)
    name = json.dumps([*parts, _digest(program)] if own else parts)
    _named[name] = program
    return name


def kernel_name(program: Program, weight: Tensor | None = None) -> str | None:
    """Return the program's name, or None without kernels for it.

    Args:
        program: the program.
        weight: one that it will run with; kernels are not compiled for one they do not run on.
    """
    own = not native.built_in(program)
    if own and weight is not None and not on_kernels(weight):
        return None
    name = program_name(program)
    return None if name is None or native.find(program) is None else name


def named(name: str) -> Program:
    """Return the program of that name.

    Raises:
        InputError: its cell is not defined here, or by other equations.
    """
    if name not in _named:
        cell, options, *digest = json.loads(name)
        program = find(cell).program(**options)
        if digest and digest != [_digest(program)]:
            raise InputError(
                f"cell {cell!r}: expected the equations that this was made with, and the "
                "definition here has others: import the right one"
            )
        _named[name] = program
    return _named[name]


#: Of the kernels.
DTYPES = (torch.float32, torch.float64)


def on_kernels(weight: Tensor) -> bool:
    """Whether layers with such weights run on the kernels: float32 or float64 on the CPU."""
    return weight.dtype in DTYPES and weight.device.type == "cpu"


def _digest(program: Program) -> str:
    meaning = (program.states, program.gates, program.nodes, program.next, program.parameters)
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]


def packed(
    call: Arguments, y: Tensor | None, saved: Tensor | None
) -> tuple[tuple[Tensor | None, ...], tuple[Any, ...]]:
    """Return all a backward pass needs, as tensors for autograd to keep, and the rest."""
    split = len(call.parameters), len(call.parameters) + len(call.initial)
    single = (y, saved, call.x, call.valid, call.mask, call.tokens)
    fixed = (call.name, call.rates, call.reverse, call.half, split)
    return (*single, *call.parameters, *call.initial, *call.keep), fixed


def unpacked(tensors: Sequence[Any], fixed: tuple[Any, ...]) -> tuple[Arguments, Any, Any]:
    """Return what went into `packed`."""
    name, rates, reverse, half, (one, two) = fixed
    y, saved, x, valid, mask, tokens, *rest = tensors
    noise = valid, mask, rest[two:], rates
    call = Arguments(name, x, rest[:one], rest[one:two], *noise, reverse, half, tokens)
    return call, y, saved
