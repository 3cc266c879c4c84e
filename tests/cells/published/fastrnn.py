"""Kusupati et al. 2018, FastGRNN (FastRNN)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="n", learnt="alpha:1 beta:1", init={"alpha": -3.0, "beta": 3.0})
def fastrnn_of_paper(x, u, h, opt):
    return dict(h=sigmoid(opt.alpha) * tanh(x.n + u(h).n) + sigmoid(opt.beta) * h)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, p = w.W, w.U, w.b, w.p
    n = torch.tanh(x @ W.n.T + h @ U.n.T + b.n)
    return (torch.sigmoid(p.alpha) * n + torch.sigmoid(p.beta) * h,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + H + 2
