"""Mikolov et al. 2014, Learning longer memory in recurrent neural networks."""

import torch

from recurra.cells import cell, sigmoid


@cell(states="h s", gates="b a p", options="alpha=0.95")
def scrn_of_paper(x, u, h, s, opt):
    s = (1 - opt.alpha) * x.b + opt.alpha * s
    return dict(h=sigmoid(x.a + u(s).p + u(h).a), s=s)


def step(w, x, h, s):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    s = 0.05 * (x @ W.b.T + b.b) + 0.95 * s
    return torch.sigmoid(x @ W.a.T + b.a + s @ U.p.T + b.p + h @ U.a.T), s


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H * H) + 3 * H
