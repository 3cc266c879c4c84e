"""The functions that nodes RNN, LSTM and GRU of ONNX may name, over numpy."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.interop.onnx.operators import FUNCTIONS

Array = np.ndarray

_DEFAULTS = {"RNN": ("Tanh",), "LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}


def _sigmoid(v: Array) -> Array:
    return 0.5 * (np.tanh(0.5 * v) + 1)  # cannot overflow, unlike exp(-v)


#: Of a parameter that the standard gives no value: a file has to.
GIVEN = math.nan

#: By name in small letters: the function of v, alpha and beta, and what those are where a file does
#: not say; None where the function has none.
ACTIVATION_FUNCTIONS: dict[
    str, tuple[Callable[[Array, float, float], Array], float | None, float | None]
] = {
    "relu": (lambda v, a, b: np.maximum(v, 0), None, None),
    "tanh": (lambda v, a, b: np.tanh(v), None, None),
    "sigmoid": (lambda v, a, b: _sigmoid(v), None, None),
    "softsign": (lambda v, a, b: v / (1 + np.abs(v)), None, None),
    "softplus": (lambda v, a, b: np.logaddexp(v, 0).astype(v.dtype), None, None),
    "affine": (lambda v, a, b: a * v + b, GIVEN, GIVEN),
    "leakyrelu": (lambda v, a, b: np.where(v >= 0, v, a * v), 0.01, None),
    "thresholdedrelu": (lambda v, a, b: np.where(v >= a, v, 0).astype(v.dtype), 1.0, None),
    "scaledtanh": (lambda v, a, b: a * np.tanh(b * v), GIVEN, GIVEN),
    "hardsigmoid": (lambda v, a, b: np.clip(a * v + b, 0, 1), 0.2, 0.5),
    "elu": (lambda v, a, b: np.where(v >= 0, v, a * np.expm1(np.minimum(v, 0))), 1.0, None),
}


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of a node, with its parameters decided."""

    name: str
    alpha: float
    beta: float

    def __call__(self, value: Array) -> Array:
        """The function of `value`, element by element."""
        return ACTIVATION_FUNCTIONS[self.name][0](value, self.alpha, self.beta)

    @property
    def ours(self) -> str | None:
        """The function of our cells that this is, or None."""
        for name, (theirs, alpha, beta) in FUNCTIONS.items():
            if theirs.lower() == self.name:
                pairs = ((self.alpha, alpha), (self.beta, beta))
                # Files hold float32.
                if all(w is None or np.float32(g) == np.float32(w) for g, w in pairs):
                    return name
        return None


def read_activations(
    op: str, directions: int, attributes: Mapping[str, Any]
) -> tuple[tuple[Activation, ...], ...]:
    """The functions of a node RNN, LSTM or GRU, by direction; InputError names what is wrong."""
    default = _DEFAULTS[op]
    names = attributes.get("activations", default * directions)
    if len(names) != len(default) * directions:
        raise InputError(
            f"activations: expected {len(default)} for each of {directions} direction(s), "
            f"received {len(names)}"
        )
    alphas = iter(attributes.get("activation_alpha", ()))
    betas = iter(attributes.get("activation_beta", ()))
    made = []
    for name in names:
        if name.lower() not in ACTIVATION_FUNCTIONS:
            known = ", ".join(ACTIVATION_FUNCTIONS)
            raise InputError(f"activations: expected functions of {known}, received {name!r}")
        _, alpha, beta = ACTIVATION_FUNCTIONS[name.lower()]
        # The lists hold numbers for those functions alone that have them, one after the other.
        alpha = 0.0 if alpha is None else float(next(alphas, alpha))
        beta = 0.0 if beta is None else float(next(betas, beta))
        if math.isnan(alpha) or math.isnan(beta):
            raise InputError(
                f"activations: {name} needs its activation_alpha and activation_beta, "
                "for which the standard has no values"
            )
        made.append(Activation(name.lower(), alpha, beta))
    size = len(default)
    return tuple(tuple(made[k * size : (k + 1) * size]) for k in range(directions))
