"""Chang et al. 2019, AntisymmetricRNN (with gating)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="z n", options="step=0.1 gamma=0.01")
def antisymmetric_of_paper(x, u, h, opt):
    v = u(h, form="antisymmetric").n - opt.gamma * h
    z, n = sigmoid(x.z + v), tanh(x.n + v)
    return dict(h=h + opt.step * z * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b, c = w.W, w.b, w.c
    A = w.weight_hh_antisymmetric.n.triu(1)
    v = h @ (A - A.T).T - 0.01 * h
    z = torch.sigmoid(x @ W.z.T + b.z + v + c.n)
    return (h + 0.1 * z * torch.tanh(x @ W.n.T + b.n + v),)


def parameters(I, H):
    """As the paper counts them."""
    return 2 * (H * I + H) + H * H
