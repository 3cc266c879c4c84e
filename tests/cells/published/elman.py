"""Elman 1990, Finding structure in time."""

import torch

from recurra.cells import cell, tanh


@cell(states="h", gates="h")
def elman_of_paper(x, u, h, opt):
    return dict(h=tanh(x.h + u(h).h))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    return (torch.tanh(x @ W.h.T + h @ U.h.T + b.h),)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + H
