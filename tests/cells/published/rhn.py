"""Zilly et al. 2017, Recurrent highway networks (depth 2, coupled)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="s", gates="h1 t1 h2 t2")
def rhn_of_paper(x, u, s, opt):
    t = sigmoid(x.t1 + u(s).t1)
    s = tanh(x.h1 + u(s).h1) * t + s * (1 - t)
    t = sigmoid(u(s).t2)
    return dict(s=tanh(u(s).h2) * t + s * (1 - t))


def step(w, x, s):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    t = torch.sigmoid(x @ W.t1.T + s @ U.t1.T + b.t1)
    s = torch.tanh(x @ W.h1.T + s @ U.h1.T + b.h1) * t + s * (1 - t)
    t = torch.sigmoid(s @ U.t2.T + b.t2)
    return (torch.tanh(s @ U.h2.T + b.h2) * t + s * (1 - t),)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * H * I + 4 * (H * H + H)
