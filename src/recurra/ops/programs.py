"""Names of programs, which operators, graphs and pickles carry and any process can read."""

import json
from typing import Any

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program, find_program
from recurra.errors import InputError

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
    return weight.dtype in DTYPES and weight.is_cpu
