"""Bradbury et al. 2016, Quasi-recurrent neural networks (fo-pooling, width 1)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="z f o")
def qrnn_of_paper(x, u, h, c, opt):
    z, f, o = tanh(x.z), sigmoid(x.f), sigmoid(x.o)
    c = f * c + (1 - f) * z
    return dict(h=o * c, c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b = w.W, w.b
    z, f = torch.tanh(x @ W.z.T + b.z), torch.sigmoid(x @ W.f.T + b.f)
    c = f * c + (1 - f) * z
    return torch.sigmoid(x @ W.o.T + b.o) * c, c


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H)
