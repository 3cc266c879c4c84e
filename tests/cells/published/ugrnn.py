"""Collins et al. 2017, Capacity and trainability in recurrent neural networks (UGRNN)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="g n", init={"g": 1.0})
def ugrnn_of_paper(x, u, h, opt):
    g = sigmoid(x.g + u(h).g)
    return dict(h=g * h + (1 - g) * tanh(x.n + u(h).n))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    g = torch.sigmoid(x @ W.g.T + h @ U.g.T + b.g)
    return (g * h + (1 - g) * torch.tanh(x @ W.n.T + h @ U.n.T + b.n),)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H * H + H)
