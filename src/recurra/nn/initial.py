"""How the parameters of a recurrent layer are drawn."""

import math

from torch import Tensor, nn

from recurra.cells import Cell

SCHEMES = ("uniform", "orthogonal")


def initialise(parameter: Tensor, name: str, cell: Cell, hidden: int, scheme: str) -> None:
    """Draw one parameter of one layer and direction, in place.

    Args:
        parameter: the tensor.
        name: its name in the program: `weight_ih`, `bias_hh`, `norm_c` and so on.
        cell: whose gates and initial biases count.
        hidden: H.
        scheme: `uniform`, from ±1/√H as in `torch.nn`; or `orthogonal`: recurrent weights
            orthogonal by gate (Saxe et al. 2014), other weights Glorot-uniform, biases as the cell
            says.
    """
    if name.startswith("norm_"):
        nn.init.constant_(parameter, 0.0 if name.endswith("_bias") else 1.0)
    elif scheme == "uniform" or name.startswith("peephole_"):
        bound = 1 / math.sqrt(hidden)
        nn.init.uniform_(parameter, -bound, bound)
    elif name.startswith("bias_"):
        nn.init.zeros_(parameter)
        # Once: the two biases add up.
        for gate, value in cell.init.items() if name == "bias_ih" else ():
            start = cell.gates.index(gate) * hidden
            nn.init.constant_(parameter.detach()[start : start + hidden], value)
    else:
        draw = nn.init.orthogonal_ if name == "weight_hh" else nn.init.xavier_uniform_
        for block in parameter.detach().chunk(1 if name == "weight_hr" else len(cell.gates)):
            draw(block)
