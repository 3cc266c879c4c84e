"""Hochreiter & Schmidhuber 1997, Long short-term memory."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="i g o")
def lstm_no_forget_gate_of_paper(x, u, h, c, opt):
    i = sigmoid(x.i + u(h).i)
    o = sigmoid(x.o + u(h).o)
    c = c + i * tanh(x.g + u(h).g)
    return dict(h=o * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    i = torch.sigmoid(x @ W.i.T + h @ U.i.T + b.i)
    o = torch.sigmoid(x @ W.o.T + h @ U.o.T + b.o)
    c = c + i * torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    return o * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H * H + H)
