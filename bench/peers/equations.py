"""One step of each cell, for the libraries that trace it.

`a` is the product of the input with its weights, biases added as far as they can be: (B, G·H),
gates as in torch. Weights lie (H, G·H), as those libraries multiply them.
"""

from typing import Any

from bench.work import Numbers


def parameters(cell: str, numbers: Numbers) -> dict[str, Any]:
    """Return W (I, G·H), U (H, G·H), the bias of the input, and that of the GRU's n gate."""
    found = {"W": numbers["weight_ih"].T.copy(), "U": numbers["weight_hh"].T.copy()}
    if cell == "gru":
        return {**found, "b": numbers["bias_ih"], "bu": numbers["bias_hh"]}
    return {**found, "b": numbers["bias_ih"] + numbers["bias_hh"]}


def gradients(cell: str, found: dict[str, Any]) -> Numbers:
    """Return gradients by such parameters in torch's layout."""
    named = {"weight_ih": found["W"].T, "weight_hh": found["U"].T, "bias_ih": found["b"]}
    return {**named, "bias_hh": found["bu" if cell == "gru" else "b"]}


def step(cell: str, xp: Any, a: Any, state: Any, p: dict[str, Any]) -> Any:
    """Return the new states, the first of which is h; `xp` has split, matmul, sigmoid and tanh."""
    h = state[0]
    if cell == "rnn":
        return (xp.tanh(a + xp.matmul(h, p["U"])),)
    if cell == "lstm":
        i, f, g, o = xp.split(a + xp.matmul(h, p["U"]), 4)
        c = xp.sigmoid(f) * state[1] + xp.sigmoid(i) * xp.tanh(g)
        return xp.sigmoid(o) * xp.tanh(c), c
    ar, az, an = xp.split(a, 3)
    br, bz, bn = xp.split(xp.matmul(h, p["U"]) + p["bu"], 3)
    z = xp.sigmoid(az + bz)
    n = xp.tanh(an + xp.sigmoid(ar + br) * bn)
    return ((1 - z) * n + z * h,)
