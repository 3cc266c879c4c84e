"""Lee et al. 2017, Recurrent additive networks."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="v i f")
def ran_of_paper(x, u, h, c, opt):
    i = sigmoid(x.i + u(h).i)
    f = sigmoid(x.f + u(h).f)
    c = i * x.v + f * c
    return dict(h=tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    i = torch.sigmoid(x @ W.i.T + h @ U.i.T + b.i)
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f)
    c = i * (x @ W.v.T + b.v) + f * c
    return torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H) + 2 * H * H
