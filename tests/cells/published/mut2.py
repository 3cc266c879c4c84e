"""Jozefowicz et al. 2015, An empirical exploration of recurrent network architectures (MUT2)."""

import torch

from recurra.cells import cell, sigmoid, tanh

FEATURES = 6


@cell(states="h", gates="z r n")
def mut2_of_paper(x, u, h, opt):
    z = sigmoid(x.z + u(h).z)
    r = sigmoid(x.raw + u(h).r)
    n = tanh(u(r * h).n + x.n)
    return dict(h=n * z + h * (1 - z))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    z = torch.sigmoid(x @ W.z.T + h @ U.z.T + b.z)
    r = torch.sigmoid(x + h @ U.r.T + b.r)
    n = torch.tanh((r * h) @ U.n.T + x @ W.n.T + b.n)
    return (n * z + h * (1 - z),)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * H * I + 3 * (H * H + H)
