"""Zhang et al. 2018, Simplifying neural machine translation with addition-subtraction
twin-gated recurrent networks.
"""

import torch

from recurra.cells import cell, sigmoid

OPTIONS = {"bias": False}


@cell(states="h", gates="p")
def atr_of_paper(x, u, h, opt):
    p, q = x.p, u(h).p
    return dict(h=sigmoid(p + q) * p + sigmoid(p - q) * h)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U = w.W, w.U
    first, second = x @ W.p.T, h @ U.p.T
    return (torch.sigmoid(first + second) * first + torch.sigmoid(first - second) * h,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H
