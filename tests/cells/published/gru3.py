"""Dey & Salem 2017, Gate-variants of gated recurrent unit neural networks (GRU3)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="n", learnt="br bz")
def gru3_of_paper(x, u, h, opt):
    r, z = sigmoid(opt.br), sigmoid(opt.bz)
    n = tanh(x.n + u(r * h).n)
    return dict(h=(1 - z) * h + z * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, p = w.W, w.U, w.b, w.p
    r, z = torch.sigmoid(p.br), torch.sigmoid(p.bz)
    n = torch.tanh(x @ W.n.T + (r * h) @ U.n.T + b.n)
    return ((1 - z) * h + z * n,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + 3 * H
