"""Greff et al. 2017, LSTM: a search space odyssey (NOG)."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="i f g", init={"f": 1.0})
def lstm_no_output_gate_of_paper(x, u, h, c, opt):
    i = sigmoid(x.i + u(h).i)
    f = sigmoid(x.f + u(h).f)
    g = tanh(x.g + u(h).g)
    c = f * c + i * g
    return dict(h=tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    i = torch.sigmoid(x @ W.i.T + h @ U.i.T + b.i)
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f)
    g = torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    c = f * c + i * g
    return torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H * H + H)
