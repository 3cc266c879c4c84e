"""Vecoven et al. 2021, A bio-inspired bistable recurrent cell (nBRC)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="a c n")
def nbrc_of_paper(x, u, h, opt):
    a = 1 + tanh(x.a + u(h).a)
    c = sigmoid(x.c + u(h).c)
    return dict(h=c * h + (1 - c) * tanh(x.n + a * h))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    a = 1 + torch.tanh(x @ W.a.T + h @ U.a.T + b.a)
    c = torch.sigmoid(x @ W.c.T + h @ U.c.T + b.c)
    return (c * h + (1 - c) * torch.tanh(x @ W.n.T + b.n + a * h),)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H) + 2 * H * H
