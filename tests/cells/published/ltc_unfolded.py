"""Hasani et al. 2021, Liquid time-constant networks: six fused steps of the time passed."""

import torch

from recurra.cells import cell, sigmoid


@cell(states="h", gates="f", inputs="x dt:1", learnt="a tau", init={"a": 0.7, "tau": 1.5})
def ltc_unfolded_of_paper(x, u, h, opt):
    dt = x.dt / 6
    for _ in range(6):
        f = sigmoid(x.f + u(h).f)
        h = (h + dt * f * opt.a) / (1 + dt * (1 / opt.tau + f))
    return dict(h=h)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, p = w.W, w.U, w.b, w.p
    x, dt = x[:, :-1], x[:, -1:] / 6
    for _ in range(6):
        f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f)
        h = (h + dt * f * p.a) / (1 + dt * (1 / p.tau + f))
    return (h,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + 3 * H


def prepare(x):
    """Time does not run backwards."""
    x[..., -1].abs_()
