"""How the parameters of a recurrent layer are drawn."""

import math
from typing import Protocol

from torch import Tensor, nn

from recurra.cells import Cell, Program

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
    if name.startswith("norm_"):
        nn.init.constant_(parameter, 0.0 if name.endswith("_bias") else 1.0)
    elif name.startswith("learnt_") and name[7:] in layer.cell.init:
        nn.init.constant_(parameter, layer.cell.init[name[7:]])
    elif layer.init == "uniform" or name.startswith("learnt_") or name.startswith("peephole_"):
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
        draw = nn.init.orthogonal_ if name == "weight_hh" else nn.init.xavier_uniform_
        if name in ("weight_ih", "weight_hh"):
            count = len(program.span(name.removeprefix("weight_")))
        else:  # of other forms, a gate's rows at once
            count = max(1, len(parameter) // hidden) if name.startswith("weight_ih_") else 1
        for block in parameter.detach().chunk(count):
            draw(block)
