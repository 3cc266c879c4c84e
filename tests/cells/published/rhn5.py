"""Zilly et al. 2017, Recurrent highway networks (depth 5, coupled)."""

import torch

from recurra.cells import cell, sigmoid, tanh

DEPTH = 5


@cell(states="s", gates=" ".join(f"h{k} t{k}" for k in range(DEPTH)))
def rhn5_of_paper(x, u, s, opt):
    for k in range(DEPTH):
        h, t = u(s)[f"h{k}"], u(s)[f"t{k}"]
        if k == 0:
            h, t = x.h0 + h, x.t0 + t
        t = sigmoid(t)
        s = tanh(h) * t + s * (1 - t)
    return dict(s=s)


def step(w, x, s):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, vars(w.U), vars(w.b)
    for k in range(DEPTH):
        h = s @ U[f"h{k}"].T + b[f"h{k}"]
        t = s @ U[f"t{k}"].T + b[f"t{k}"]
        if k == 0:
            h, t = h + x @ W.h0.T, t + x @ W.t0.T
        t = torch.sigmoid(t)
        s = torch.tanh(h) * t + s * (1 - t)
    return (s,)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * H * I + 2 * DEPTH * (H * H + H)
