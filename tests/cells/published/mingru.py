"""Feng et al. 2024, Were RNNs all we needed? (minGRU)."""

import torch

from recurra.cells import cell, sigmoid


@cell(states="h", gates="z n")
def mingru_of_paper(x, u, h, opt):
    z = sigmoid(x.z)
    return dict(h=(1 - z) * h + z * x.n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b = w.W, w.b
    z = torch.sigmoid(x @ W.z.T + b.z)
    return ((1 - z) * h + z * (x @ W.n.T + b.n),)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H)
