"""Vecoven et al. 2021, A bio-inspired bistable recurrent cell (BRC)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="a c n", learnt="wa wc")
def brc_of_paper(x, u, h, opt):
    a = 1 + tanh(x.a + opt.wa * h)
    c = sigmoid(x.c + opt.wc * h)
    return dict(h=c * h + (1 - c) * tanh(x.n + a * h))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b, p = w.W, w.b, w.p
    a = 1 + torch.tanh(x @ W.a.T + b.a + p.wa * h)
    c = torch.sigmoid(x @ W.c.T + b.c + p.wc * h)
    return (c * h + (1 - c) * torch.tanh(x @ W.n.T + b.n + a * h),)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H) + 2 * H
