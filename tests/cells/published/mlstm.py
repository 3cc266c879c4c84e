"""Krause et al. 2016, Multiplicative LSTM for sequence modelling."""

import torch

from recurra.cells import cell, sigmoid, tanh

OPTIONS = {"bias": False}


@cell(states="h c", gates="m i f g o", init={"f": 1.0})
def mlstm_of_paper(x, u, h, c, opt):
    m = x.m * u(h).m
    i = sigmoid(x.i + u(m).i)
    f = sigmoid(x.f + u(m).f)
    g = x.g + u(m).g
    o = sigmoid(x.o + u(m).o)
    c = f * c + i * g
    return dict(h=tanh(o * c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U = w.W, w.U
    m = (x @ W.m.T) * (h @ U.m.T)
    i = torch.sigmoid(x @ W.i.T + m @ U.i.T)
    f = torch.sigmoid(x @ W.f.T + m @ U.f.T)
    g = x @ W.g.T + m @ U.g.T
    o = torch.sigmoid(x @ W.o.T + m @ U.o.T)
    c = f * c + i * g
    return torch.tanh(o * c), c


def parameters(I, H):
    """As the paper counts them."""
    return 5 * (H * I + H * H)
