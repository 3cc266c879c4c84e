"""How the parameters of a recurrent layer are drawn."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from recurra.cells import Cell, Program
from recurra.cells.carried import CarriedCell
from recurra.errors import InputError

SCHEMES = ("uniform", "orthogonal")


class Drawn(Protocol):
    """A layer or a single step: what of it decides how its parameters are drawn."""

    cell: Cell
    program: Program
    hidden_size: int
    init: str


def initialise(parameter: Tensor, name: str, layer: Drawn) -> None:
    """Draw one parameter of one layer and direction, in place.

    Args:
        parameter: the tensor.
        name: its name in the program: `weight_ih`, `bias_hh`, `norm_c` and so on.
        layer: whose `init` is `uniform`, from ±1/√H as in `torch.nn`; or `orthogonal`: recurrent
            weights orthogonal by gate (Saxe et al. 2014), other weights Glorot-uniform, biases as
            the cell says.
    """
    program, hidden = layer.program, layer.hidden_size
    vector = name.startswith("fixed_") and name not in ("fixed_ih", "fixed_hh")
    carried = isinstance(layer.cell, CarriedCell)
    if (draw := layer.cell.drawn.get(name)) is not None:
        _draw(parameter, name, layer, draw)
    elif name.startswith(("fixed_", "mask_")) and carried:
        nn.init.constant_(parameter, math.nan)  # its definition says what it is, or saved weights
    elif name.startswith("mask_"):
        nn.init.ones_(parameter)
    elif name[6:] in layer.cell.init and name.startswith("fixed_"):
        nn.init.constant_(parameter, layer.cell.init[name[6:]])
    elif name.startswith("norm_"):
        nn.init.constant_(parameter, 0.0 if name.endswith("_bias") else 1.0)
    elif name.startswith("learnt_") and name[7:] in layer.cell.init:
        nn.init.constant_(parameter, layer.cell.init[name[7:]])
    elif layer.init == "uniform" or name.startswith(("learnt_", "peephole_")) or vector:
        bound = 1 / math.sqrt(hidden)
        nn.init.uniform_(parameter, -bound, bound)
    elif name.startswith("bias_"):
        nn.init.zeros_(parameter)
        own = program.biased_gates(name.removeprefix("bias_"))
        other = program.biased_gates("ih")
        for gate, value in layer.cell.init.items():
            if gate in own and (name == "bias_ih" or gate not in other):  # once: the biases add up
                start = own.index(gate) * hidden
                nn.init.constant_(parameter.detach()[start : start + hidden], value)
    else:
        square = name in ("weight_hh", "fixed_hh")
        draw = nn.init.orthogonal_ if square else nn.init.xavier_uniform_
        if name in ("weight_ih", "weight_hh"):
            count = len(program.span(name.removeprefix("weight_")))
        else:  # of other forms, a gate's rows at once
            whole = name.startswith(("weight_ih_", "weight_hh_masked", "fixed_"))
            count = max(1, len(parameter) // hidden) if whole else 1
        for block in parameter.detach().chunk(count):
            draw(block)


def _draw(parameter: Tensor, name: str, layer: Drawn, draw: Callable[..., Any]) -> None:
    """What a function of the definition draws, a gate's rows at once, in place.

    Raises:
        InputError: it is no array of that shape, or has other numbers than its kind may.
    """
    where = f"cell {layer.cell.name}: init: {name}"
    random = np.random.default_rng(int(torch.randint(2**62, ())))
    with torch.no_grad():
        for block in parameter.split(layer.hidden_size):
            try:
                values = np.asarray(draw(tuple(block.shape), random), dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{where}: expected draw(shape, random), which returns an array of "
                    f"{tuple(block.shape)}: {error}"
                ) from error
            if values.shape != tuple(block.shape) or not np.isfinite(values).all():
                received = f"one of {values.shape}" if np.isfinite(values).all() else "NaN or Inf"
                raise InputError(
                    f"{where}: expected an array of finite numbers of the shape "
                    f"{tuple(block.shape)}, received {received}"
                )
            if name.startswith("mask_") and not np.isin(values, (0, 1)).all():
                raise InputError(f"{where}: expected a mask of 0 and 1, received other numbers")
            block.copy_(torch.from_numpy(values))
