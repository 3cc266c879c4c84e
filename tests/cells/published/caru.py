"""Chan et al. 2020, CARU: a content-adaptive recurrent unit."""

import torch

from recurra.cells import cell, sigmoid, tanh

#: The loop has both biases, since x.n is used alone.
BIASES = 2


@cell(states="h", gates="n z")
def caru_of_paper(x, u, h, opt):
    n = tanh(x.n + u(h).n)
    l = sigmoid(x.n) * sigmoid(x.z + u(h).z)
    return dict(h=(1 - l) * h + l * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, c = w.W, w.U, w.b, w.c
    v = x @ W.n.T + b.n
    n = torch.tanh(v + h @ U.n.T + c.n)
    l = torch.sigmoid(v) * torch.sigmoid(x @ W.z.T + h @ U.z.T + b.z + c.z)
    return ((1 - l) * h + l * n,)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H * H + H)
