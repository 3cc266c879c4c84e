"""Rusch et al. 2022, Long expressive memory for sequence modeling."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="y z", gates="a b z y", options="dt=0.5")
def lem_of_paper(x, u, y, z, opt):
    a = opt.dt * sigmoid(x.a + u(y).a)
    b = opt.dt * sigmoid(x.b + u(y).b)
    z = (1 - a) * z + a * tanh(x.z + u(y).z)
    return dict(y=(1 - b) * y + b * tanh(x.y + u(z).y), z=z)


def step(w, x, y, z):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    first = 0.5 * torch.sigmoid(x @ W.a.T + y @ U.a.T + b.a)
    second = 0.5 * torch.sigmoid(x @ W.b.T + y @ U.b.T + b.b)
    z = (1 - first) * z + first * torch.tanh(x @ W.z.T + y @ U.z.T + b.z)
    return (1 - second) * y + second * torch.tanh(x @ W.y.T + z @ U.y.T + b.y), z


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + H * H + H)
