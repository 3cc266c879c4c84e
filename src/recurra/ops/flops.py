"""What `torch.utils.flop_counter` counts for our operators: products, as torch counts its own.

A multiplication and an addition are two. Pointwise functions count nothing, in torch neither.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recurra.cells import Program
from recurra.ops import interpreted, loss, operator  # noqa: F401 (they define the operators)
from recurra.ops.programs import named


def _products(
    name: str, x: Tensor, parameters: Sequence[Tensor], tokens: Tensor | None
) -> list[tuple[int, str, int]]:
    """Multiplications of each product over all steps: its place, its parameter's name, how many."""
    program: Program = named(name)
    rows = prod((x if tokens is None else tokens).shape[:2])
    found = []
    for place, parameter in enumerate(program.parameters):
        if parameter.name.startswith("weight_") and parameters[place].dim() == 2:
            times = len(x) if tokens is not None and parameter.name == "weight_ih" else rows
            found.append((place, parameter.name, times * parameters[place].numel()))
    return found


def _forward(name: str, x: Tensor, parameters: Sequence[Tensor], *rest: Any, **more: Any) -> int:
    tokens = rest[7] if len(rest) > 7 and isinstance(rest[7], Tensor) else None
    return 2 * sum(n for *_, n in _products(name, x, parameters, tokens))


def _backward(name: str, x: Tensor, parameters: Sequence[Tensor], *rest: Any, **more: Any) -> int:
    """Of each product the gradient by what it multiplies, and by the matrix, where wanted."""
    wanted, tokens = rest[-1], rest[7]
    total = 0
    for place, kind, n in _products(name, x, parameters, tokens):
        total += n * ((kind != "weight_ih" or wanted[0]) + wanted[1 + place])
    return 2 * total


def _interpreted_backward(
    name: str, x: Tensor, parameters: Sequence[Tensor], *rest: Any, **more: Any
) -> int:
    """Forward once more, then both gradients of each product."""
    return 3 * _forward(name, x, parameters)


def _losses(x: Tensor, weight: Tensor, *rest: Any, **more: Any) -> int:
    return 2 * len(x) * weight.numel()


def _losses_backward(x: Tensor, weight: Tensor, *rest: Any, **more: Any) -> int:
    wanted = rest[-1]
    return _losses(x, weight) * (wanted[0] + wanted[1])


_OURS = torch.ops.recurra
for _operator, _formula in (
    (_OURS.recurrent, _forward),
    (_OURS.recurrent_backward, _backward),
    (_OURS.interpreted, _forward),
    (_OURS.interpreted_backward, _interpreted_backward),
    (_OURS.token_losses, _losses),
    (_OURS.token_losses_backward, _losses_backward),
):
    register_flop_formula(_operator, get_raw=True)(_formula)
