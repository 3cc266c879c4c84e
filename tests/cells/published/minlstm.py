"""Feng et al. 2024, Were RNNs all we needed? (minLSTM)."""

import torch

from recurra.cells import cell, sigmoid


@cell(states="h", gates="f i n")
def minlstm_of_paper(x, u, h, opt):
    f, i = sigmoid(x.f), sigmoid(x.i)
    return dict(h=f / (f + i) * h + i / (f + i) * x.n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b = w.W, w.b
    f, i = torch.sigmoid(x @ W.f.T + b.f), torch.sigmoid(x @ W.i.T + b.i)
    return (f / (f + i) * h + i / (f + i) * (x @ W.n.T + b.n),)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H)
