"""Dey & Salem 2017, Gate-variants of gated recurrent unit neural networks (GRU2)."""

import torch

from recurra.cells import cell, sigmoid, tanh

OPTIONS = {"bias": False}


@cell(states="h", gates="z r n", learnt="b")
def gru2_of_paper(x, u, h, opt):
    z, r = sigmoid(u(h).z), sigmoid(u(h).r)
    n = tanh(x.n + u(r * h).n + opt.b)
    return dict(h=(1 - z) * h + z * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    z, r = torch.sigmoid(h @ w.U.z.T), torch.sigmoid(h @ w.U.r.T)
    n = torch.tanh(x @ w.W.n.T + (r * h) @ w.U.n.T + w.p.b)
    return ((1 - z) * h + z * n,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 3 * H * H + H
