"""Our layers as modules, made for a program and filled with arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.cells import Program
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

LAYERS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
CELLS: dict[str, Any] = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}


def arguments(program: Program) -> dict[str, Any]:
    """The arguments with which `LAYERS` and `CELLS` make this program, sizes aside."""
    called = {"norm": "layer_norm"}
    # The vanilla cell has no gates, so that its class does not ask for their function.
    without = ("projection", *(("recurrent_activation",) if program.cell == "rnn" else ()))
    return {called.get(name, name): v for name, v in program.options if name not in without}


def fill(module: nn.Module, weights: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Copy arrays into the parameters, by suffix (`_l0_reverse`) and name; every bit as it is."""
    with torch.no_grad():
        for suffix, arrays in weights.items():
            for name, array in arrays.items():
                parameter = module.get_parameter(name + suffix)
                # numpy's bfloat16 is another library's, which torch does not know.
                known = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(known)))


def arrays(module: nn.Module, program: Program, suffix: str) -> dict[str, np.ndarray]:
    """The parameters with that suffix, by name."""
    found = {}
    for parameter in program.parameters:
        tensor = module.get_parameter(parameter.name + suffix).detach().cpu()
        # numpy has no bfloat16; float32 holds each of its numbers.
        found[parameter.name] = (
            tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        ).numpy()
    return found


def suffixes(layers: int, directions: int) -> Sequence[str]:
    """Of parameter names, layer by layer."""
    return [f"_l{k}{'_reverse' if r else ''}" for k in range(layers) for r in range(directions)]
