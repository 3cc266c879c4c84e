"""Dey & Salem 2017, Gate-variants of gated recurrent unit neural networks (GRU1)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="r z n")
def gru1_of_paper(x, u, h, opt):
    r = sigmoid(u(h).r)
    z = sigmoid(u(h).z)
    n = tanh(x.n + u(r * h).n)
    return dict(h=(1 - z) * h + z * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    r = torch.sigmoid(h @ U.r.T + b.r)
    z = torch.sigmoid(h @ U.z.T + b.z)
    n = torch.tanh(x @ W.n.T + (r * h) @ U.n.T + b.n)
    return ((1 - z) * h + z * n,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 3 * (H * H + H)
