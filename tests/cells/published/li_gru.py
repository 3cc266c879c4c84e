"""Ravanelli et al. 2018, Light gated recurrent units for speech recognition (without its
batch norm).
"""

import torch

from recurra.cells import cell, relu, sigmoid


@cell(states="h", gates="z n")
def li_gru_of_paper(x, u, h, opt):
    z = sigmoid(x.z + u(h).z)
    return dict(h=z * h + (1 - z) * relu(x.n + u(h).n))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    z = torch.sigmoid(x @ W.z.T + h @ U.z.T + b.z)
    return (z * h + (1 - z) * torch.relu(x @ W.n.T + h @ U.n.T + b.n),)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H * H + H)
