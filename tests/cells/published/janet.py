"""van der Westhuizen & Lasenby 2018, The unreasonable effectiveness of the forget gate."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="s n", options="beta=1")
def janet_of_paper(x, u, h, opt):
    s = x.s + u(h).s
    return dict(h=sigmoid(s) * h + (1 - sigmoid(s - opt.beta)) * tanh(x.n + u(h).n))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    s = x @ W.s.T + h @ U.s.T + b.s
    n = torch.tanh(x @ W.n.T + h @ U.n.T + b.n)
    return (torch.sigmoid(s) * h + (1 - torch.sigmoid(s - 1)) * n,)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H * H + H)
