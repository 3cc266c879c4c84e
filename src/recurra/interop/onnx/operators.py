"""Which cells are operators of ONNX, and what their attributes are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra import native
from recurra.cells import Program
from recurra.interop.layouts import from_ours

_OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}

#: ONNX' names of our functions, with alpha and beta of those that have them. ONNX has no exp.
FUNCTIONS: dict[str, tuple[str, float | None, float | None]] = {
    "tanh": ("Tanh", None, None),
    "sigmoid": ("Sigmoid", None, None),
    "relu": ("Relu", None, None),
    "softsign": ("Softsign", None, None),
    "softplus": ("Softplus", None, None),
    "identity": ("Affine", 1.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
}

#: The functions of each operator, as options of our cells, in the order of its attribute.
ACTIVATIONS = {
    "RNN": ("activation",),
    "LSTM": ("recurrent_activation", "activation", "activation"),
    "GRU": ("recurrent_activation", "activation"),
}


def fits(program: Program, dtype: np.dtype) -> bool:
    """Whether an operator of ONNX computes exactly this program, and ONNX Runtime this operator."""
    # ONNX Runtime has no kernels of RNN, LSTM and GRU for float64; those of all else it has.
    if not native.built_in(program) or program.cell not in _OPERATORS or dtype != np.float32:
        return False
    op = _OPERATORS[program.cell]
    chosen = dict(program.options)
    if chosen.get("norm") or chosen.get("projection"):
        return False
    return {chosen[name] for name in ACTIVATIONS[op]} <= FUNCTIONS.keys()


def operator(program: Program, directions: int, *, reverse: bool) -> tuple[str, dict[str, Any]]:
    """Return the operator of a program that `fits`, and its attributes but the hidden size."""
    op = _OPERATORS[program.cell]
    single = [FUNCTIONS[str(program.option(name))] for name in ACTIVATIONS[op]]
    functions = single * directions
    direction = "bidirectional" if directions == 2 else "reverse" if reverse else "forward"
    made: dict[str, Any] = {"direction": direction, "activations": [f[0] for f in functions]}
    alphas = [alpha for _, alpha, _ in functions if alpha is not None]
    if alphas:
        betas = [beta for _, _, beta in functions if beta is not None]
        made |= {"activation_alpha": alphas, "activation_beta": betas}
    if op == "GRU":
        made["linear_before_reset"] = int(program.option("reset") == "after")
    return op, made


def tensors(program: Program, weights: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """W, R, and where there are B and P, each with a leading axis of directions."""
    names = [
        "W",
        "R",
        *("B" * bool(program.option("bias"))),
        *("P" * bool(program.option("peephole"))),
    ]
    rows = [from_ours("onnx", program, one) for one in weights]
    return {n: np.stack(parts) for n, parts in zip(names, zip(*rows, strict=True), strict=True)}
