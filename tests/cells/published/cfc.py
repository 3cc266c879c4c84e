"""Hasani et al. 2022, Closed-form continuous-time neural networks (without a backbone)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="f g a b", inputs="x t:1")
def cfc_of_paper(x, u, h, opt):
    v = u(h)
    f, g = tanh(x.f + v.f), tanh(x.g + v.g)
    late = sigmoid((x.a + v.a) * x.t + x.b + v.b)
    return dict(h=f * (1 - late) + late * g)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    x, t = x[:, :-1], x[:, -1:]
    f = torch.tanh(x @ W.f.T + h @ U.f.T + b.f)
    g = torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    a = x @ W.a.T + h @ U.a.T + b.a
    late = torch.sigmoid(a * t + x @ W.b.T + h @ U.b.T + b.b)
    return (f * (1 - late) + late * g,)


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + H * H + H)
