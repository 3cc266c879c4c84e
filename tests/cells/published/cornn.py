"""Rusch & Mishra 2021, Coupled oscillatory recurrent neural network."""

import torch

from recurra.cells import cell, tanh


@cell(states="y z", gates="y z", options="dt=0.042 gamma=2.7 epsilon=4.7")
def cornn_of_paper(x, u, y, z, opt):
    force = tanh(x.y + u(y).y + u(z).z)
    z = z + opt.dt * (force - opt.gamma * y - opt.epsilon * z)
    return dict(y=y + opt.dt * z, z=z)


def step(w, x, y, z):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    force = torch.tanh(x @ W.y.T + b.y + y @ U.y.T + z @ U.z.T + b.z)
    z = z + 0.042 * (force - 2.7 * y - 4.7 * z)
    return y + 0.042 * z, z


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 2 * H * H + 2 * H
