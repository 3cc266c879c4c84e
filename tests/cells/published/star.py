"""Turkoglu et al. 2019, Gating revisited: deep multi-layer RNNs that can be trained."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="k z")
def star_of_paper(x, u, h, opt):
    k = sigmoid(x.k + u(h).k)
    return dict(h=tanh((1 - k) * h + k * tanh(x.z)))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    k = torch.sigmoid(x @ W.k.T + h @ U.k.T + b.k)
    return (torch.tanh((1 - k) * h + k * torch.tanh(x @ W.z.T + b.z)),)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H) + H * H
