"""Heck & Salem 2017, Simplified minimal gated unit variations (MGU2)."""

import torch

from recurra.cells import cell, sigmoid, tanh

OPTIONS = {"bias": False}


@cell(states="h", gates="f n", learnt="b")
def mgu2_of_paper(x, u, h, opt):
    f = sigmoid(u(h).f)
    n = tanh(x.n + u(f * h).n + opt.b)
    return dict(h=(1 - f) * h + f * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    f = torch.sigmoid(h @ w.U.f.T)
    n = torch.tanh(x @ w.W.n.T + (f * h) @ w.U.n.T + w.p.b)
    return ((1 - f) * h + f * n,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 2 * H * H + H
