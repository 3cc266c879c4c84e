"""Keras' layout of weights, and ours: the one place that knows both.

Keras holds `kernel` (I, G*H) and `recurrent_kernel` (H, G*H), their gates side by side in an order
of its own, and one `bias` (G*H,); a GRU that resets after the product has two, (2, G*H). Ours are
`weight_ih` (G*H, I), `weight_hh` (G*H, H), `bias_ih` and `bias_hh` (G*H,), their gates in the order
in which the cell names them. The GRU's z keeps the old state on both sides. Needs neither Keras nor
torch.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.cells import Program
from recurra.errors import InputError
from recurra.native import built_in

Array = Any  # numpy.ndarray or torch.Tensor, not mixed

#: Gates in Keras' order, by our names for them (Keras calls the LSTM's g c, and the GRU's n h).
GATES = {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("z", "r", "n")}

_LACKS = ("norm", "peephole", "projection")


def from_keras(program: Program, weights: Sequence[Array]) -> dict[str, Array]:
    """Return our parameters, by name, of a Keras layer's or cell's weights.

    Args:
        program: the cell, with the options of the Keras layer.
        weights: kernel, recurrent_kernel and, where the program has biases, bias; arrays of numpy,
            or tensors, through which gradients flow back.

    Raises:
        InputError: the shapes are not those of such a layer.
    """
    order, ours = _orders(program)
    _check(program, weights)
    parameters = {
        "weight_ih": _reorder(weights[0].T, order, ours),
        "weight_hh": _reorder(weights[1].T, order, ours),
    }
    if not program.option("bias"):
        return parameters
    bias = weights[2]
    if _two_biases(program):
        parameters["bias_ih"] = _reorder(bias[0], order, ours)
        parameters["bias_hh"] = _reorder(bias[1], order, ours)
    else:
        parameters["bias_ih"] = _reorder(bias, order, ours)
        parameters["bias_hh"] = _library(bias).zeros_like(parameters["bias_ih"])
    return parameters


def to_keras(program: Program, parameters: Mapping[str, Array]) -> list[Array]:
    """Return a Keras layer's weights (kernel, recurrent_kernel, bias) of our parameters.

    Where Keras has one bias and we have two, it is their sum.

    Raises:
        InputError: the program has what no layer of Keras computes.
    """
    order, ours = _orders(program)
    weights = [
        _reorder(parameters["weight_ih"], ours, order).T,
        _reorder(parameters["weight_hh"], ours, order).T,
    ]
    if program.option("bias"):
        biases = [_reorder(parameters[name], ours, order) for name in ("bias_ih", "bias_hh")]
        two = _two_biases(program)
        weights.append(_library(biases[0]).stack(biases) if two else biases[0] + biases[1])
    return weights


def shapes(program: Program, inputs: int, hidden: int) -> list[tuple[int, ...]]:
    """Return the shapes of a Keras layer's weights: I inputs, H units."""
    width = len(program.gates) * hidden
    found: list[tuple[int, ...]] = [(inputs, width), (hidden, width)]
    if program.option("bias"):
        found.append((2, width) if _two_biases(program) else (width,))
    return found


def _two_biases(program: Program) -> bool:
    return program.option("reset") == "after"


def _orders(program: Program) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the gates in Keras' order, and in ours."""
    extra = [name for name in _LACKS if program.option(name)]
    if program.cell not in GATES or extra or not built_in(program):
        with_what = f" with {', '.join(extra)}" if extra else ""
        raise InputError(
            f"Keras' layout: expected one of the cells {', '.join(GATES)} without "
            f"{', '.join(_LACKS)}, received {program.cell}{with_what}"
        )
    return GATES[program.cell], program.gates


def _check(program: Program, weights: Sequence[Array]) -> None:
    received = [tuple(w.shape) for w in weights]
    units = received[1][0] if len(received) > 1 and received[1] else 0
    inputs = received[0][0] if received and received[0] else 0
    expected = shapes(program, inputs, units)
    if received != expected:
        named = ", ".join(map(str, shapes(program, inputs, units or 1))) if units else "none"
        raise InputError(
            f"Keras' layout of {program.cell}: expected kernel (I, G*H), recurrent_kernel (H, G*H)"
            f"{', bias' if program.option('bias') else ' and no bias'} with G={len(program.gates)}"
            f" (here {named}), received {', '.join(map(str, received)) or 'nothing'}"
        )


def _reorder(rows: Array, present: tuple[str, ...], wanted: tuple[str, ...]) -> Array:
    """Return blocks of rows (G*H, ...) in another order of the gates, contiguous in memory."""
    if present == wanted:
        return rows.contiguous() if hasattr(rows, "contiguous") else rows
    height = rows.shape[0] // len(present)
    starts = [present.index(gate) * height for gate in wanted]
    return _library(rows).concatenate([rows[start : start + height] for start in starts])


def _library(array: Array) -> Any:
    """Return numpy or torch, whichever the array is of (already imported, then)."""
    return sys.modules[type(array).__module__.partition(".")[0]]
