"""Cho et al. 2014, Learning phrase representations using RNN encoder-decoder."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="r z n")
def gru_of_paper(x, u, h, opt):
    r = sigmoid(x.r + u(h).r)
    z = sigmoid(x.z + u(h).z)
    n = tanh(x.n + u(r * h).n)
    return dict(h=(1 - z) * n + z * h)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    r = torch.sigmoid(x @ W.r.T + h @ U.r.T + b.r)
    z = torch.sigmoid(x @ W.z.T + h @ U.z.T + b.z)
    n = torch.tanh(x @ W.n.T + (r * h) @ U.n.T + b.n)
    return ((1 - z) * n + z * h,)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H * H + H)
