"""Gao & Glowacka 2016, Deep gate recurrent neural network (SGU)."""

import torch

from recurra.cells import cell, hard_sigmoid, softplus, tanh


@cell(states="h", gates="g k z")
def sgu_of_paper(x, u, h, opt):
    k = tanh(u(x.g * h).k)
    out = softplus(k * h)
    z = hard_sigmoid(x.z + u(h).z)
    return dict(h=(1 - z) * h + z * out)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    k = torch.tanh(((x @ W.g.T + b.g) * h) @ U.k.T + b.k)
    out = torch.log1p(torch.exp(k * h))
    z = torch.clamp((x @ W.z.T + h @ U.z.T + b.z) / 6 + 0.5, 0, 1)
    return ((1 - z) * h + z * out,)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H * H) + 3 * H
