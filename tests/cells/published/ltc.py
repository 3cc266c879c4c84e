"""Hasani et al. 2021, Liquid time-constant networks (one fused step)."""

import torch

from recurra.cells import cell, sigmoid


@cell(states="h", gates="f", learnt="a tau", init={"a": 0.7, "tau": 1.5}, options="dt=0.1")
def ltc_of_paper(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    return dict(h=(h + opt.dt * f * opt.a) / (1 + opt.dt * (1 / opt.tau + f)))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, p = w.W, w.U, w.b, w.p
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f)
    return ((h + 0.1 * f * p.a) / (1 + 0.1 * (1 / p.tau + f)),)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + 3 * H
