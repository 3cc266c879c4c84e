"""Che et al. 2018, Recurrent neural networks for multivariate time series with missing values: the
decay of the state and the masks, of inputs that were imputed before.
"""

import torch

from recurra.cells import cell, exp, relu, sigmoid, tanh


@cell(states="h", gates="z r n d", inputs="x m:3 delta:3")
def gru_d_of_paper(x, u, h, opt):
    h = exp(-relu(x.delta.d)) * h
    z = sigmoid(x.z + x.m.z + u(h).z)
    r = sigmoid(x.r + x.m.r + u(h).r)
    n = tanh(x.n + x.m.n + u(r * h).n)
    return dict(h=(1 - z) * h + z * n)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, V, D = w.W, w.U, w.b, w.weight_ih_m, w.weight_ih_delta
    x, m, delta = x[:, :-6], x[:, -6:-3], x[:, -3:]
    h = torch.exp(-torch.relu(delta @ D.d.T + b.d)) * h
    z = torch.sigmoid(x @ W.z.T + m @ V.z.T + h @ U.z.T + b.z)
    r = torch.sigmoid(x @ W.r.T + m @ V.r.T + h @ U.r.T + b.r)
    n = torch.tanh(x @ W.n.T + m @ V.n.T + (r * h) @ U.n.T + b.n)
    return ((1 - z) * h + z * n,)


def parameters(I, H):
    """As the paper counts those of these equations."""
    return 3 * (H * I + 3 * H + H * H + H) + 3 * H + H
