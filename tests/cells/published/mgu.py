"""Zhou et al. 2016, Minimal gated unit for recurrent neural networks."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="f n", init={"f": 1.0})
def mgu_of_paper(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    n = tanh(x.n + u(f * h).n)
    return dict(h=(1 - f) * h + f * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f)
    n = torch.tanh(x @ W.n.T + (f * h) @ U.n.T + b.n)
    return ((1 - f) * h + f * n,)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H * H + H)
