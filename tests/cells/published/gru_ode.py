"""De Brouwer et al. 2019, GRU-ODE-Bayes (one step of Euler's)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="r z n", options="dt=0.1")
def gru_ode_of_paper(x, u, h, opt):
    r = sigmoid(x.r + u(h).r)
    z = sigmoid(x.z + u(h).z)
    n = tanh(x.n + u(r * h).n)
    return dict(h=h + opt.dt * (1 - z) * (n - h))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    r = torch.sigmoid(x @ W.r.T + h @ U.r.T + b.r)
    z = torch.sigmoid(x @ W.z.T + h @ U.z.T + b.z)
    n = torch.tanh(x @ W.n.T + (r * h) @ U.n.T + b.n)
    return (h + 0.1 * (1 - z) * (n - h),)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H * H + H)
