"""Soltani & Jiang 2016, Higher order recurrent neural networks (order 3)."""

import torch

from recurra.cells import before, cell, tanh


@cell(states="h", gates="a b c")
def higher_order_of_paper(x, u, h, opt):
    second = before(h)
    return dict(h=tanh(x.a + u(h).a + u(second).b + u(before(second)).c))


def step(w, x, h, second, third):
    """The same in torch, with matrices, biases and parameters by their gates."""
    U, b = w.U, w.b
    a = x @ w.W.a.T + h @ U.a.T + second @ U.b.T + third @ U.c.T + b.a + w.c.b + w.c.c
    return torch.tanh(a), h, second


def parameters(I, H):
    """As the paper counts them, with a bias of each matrix."""
    return H * I + 3 * (H * H + H)
