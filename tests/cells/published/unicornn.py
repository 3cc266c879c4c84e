"""Rusch & Mishra 2021, UnICORNN."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="y z", gates="v", learnt="w c", options="dt=0.2 alpha=0.9")
def unicornn_of_paper(x, u, y, z, opt):
    step = opt.dt * sigmoid(opt.c)
    z = z - step * (tanh(opt.w * y + x.v) + opt.alpha * y)
    return dict(y=y + step * z, z=z)


def step(w, x, y, z):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b, p = w.W, w.b, w.p
    step = 0.2 * torch.sigmoid(p.c)
    z = z - step * (torch.tanh(p.w * y + x @ W.v.T + b.v) + 0.9 * y)
    return y + step * z, z


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 3 * H
