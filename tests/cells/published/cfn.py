"""Laurent & von Brecht 2017, A recurrent neural network without chaos."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="t e v")
def cfn_of_paper(x, u, h, opt):
    t = sigmoid(x.t + u(h).t)
    e = sigmoid(x.e + u(h).e)
    return dict(h=t * tanh(h) + e * tanh(x.v))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    t = torch.sigmoid(x @ W.t.T + h @ U.t.T + b.t)
    e = torch.sigmoid(x @ W.e.T + h @ U.e.T + b.e)
    return (t * torch.tanh(h) + e * torch.tanh(x @ W.v.T + b.v),)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H) + 2 * H * H
