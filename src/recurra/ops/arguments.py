"""A call of one direction of one layer, as tensors and a name that any process can read."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program, find_program
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


#: Programs that have a name here, whatever their cells' names stand for now.
_named: dict[str, Program] = {}
#: Digests that names have, by their lengths: those of before 0.2 did not tell what can be seen.
_DIGESTS = {16: "meaning", 24: "digest"}


def program_name(program: Program) -> str:
    """Return a name of the program, which any process that has its definition can read.

    It holds a digest of the equations where they are a user's, who may change them and keep the
    cell's name, or make several cells of one name.
    """
    parts: list[Any] = [program.cell, dict(program.options)]
    own = not native.built_in(program)
    name = json.dumps([*parts, program.digest()] if own else parts)
    _named.setdefault(name, program)
    return name


def kernel_name(program: Program, weight: Tensor | None = None) -> str | None:
    """Return the program's name, or None without kernels for it.

    Args:
        program: the program.
        weight: one that it will run with; kernels are not compiled for one they do not run on.
    """
    # Without kernels at hand, none are missed where they would not run.
    asked = native.available() and native.built_in(program)
    if weight is not None and not (asked or on_kernels(weight)):
        return None
    return None if native.find(program) is None else program_name(program)


def named(name: str) -> Program:
    """Return the program of that name.

    Raises:
        InputError: its cell is not defined here, or by other equations.
    """
    if name not in _named:
        try:
            cell, options, *digest = json.loads(name)
            digests = {_DIGESTS.get(len(d), "digest"): d for d in digest}
            _named[name] = find_program(cell, options, digests)
        except InputError:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"program: expected a name that a layer wrote, received {name[:80]!r}: load "
                "what it wrote"
            ) from error
    return _named[name]


#: Of the kernels.
DTYPES = (torch.float32, torch.float64)


def on_kernels(weight: Tensor) -> bool:
    """Whether layers with such weights run on the kernels: float32 or float64 on the CPU."""
    return weight.dtype in DTYPES and weight.device.type == "cpu"


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
