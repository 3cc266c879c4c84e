"""Jozefowicz et al. 2015, An empirical exploration of recurrent network architectures (MUT3)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="z r n")
def mut3_of_paper(x, u, h, opt):
    z = sigmoid(x.z + u(tanh(h)).z)
    r = sigmoid(x.r + u(h).r)
    n = tanh(x.n + u(r * h).n)
    return dict(h=n * z + h * (1 - z))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    z = torch.sigmoid(x @ W.z.T + torch.tanh(h) @ U.z.T + b.z)
    r = torch.sigmoid(x @ W.r.T + h @ U.r.T + b.r)
    n = torch.tanh(x @ W.n.T + (r * h) @ U.n.T + b.n)
    return (n * z + h * (1 - z),)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H * H + H)
