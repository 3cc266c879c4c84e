"""Heck & Salem 2017, Simplified minimal gated unit variations (MGU1)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="f n", init={"f": 1.0})
def mgu1_of_paper(x, u, h, opt):
    f = sigmoid(u(h).f)
    n = tanh(x.n + u(f * h).n)
    return dict(h=(1 - f) * h + f * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    f = torch.sigmoid(h @ U.f.T + b.f)
    n = torch.tanh(x @ W.n.T + (f * h) @ U.n.T + b.n)
    return ((1 - f) * h + f * n,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 2 * (H * H + H)
