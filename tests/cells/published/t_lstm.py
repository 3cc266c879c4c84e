"""Baytas et al. 2017, Patient subtyping via time-aware LSTM networks."""

import math

import torch

from recurra.cells import cell, log, sigmoid, tanh


@cell(states="h c", gates="f i o g d", inputs="x dt:1")
def t_lstm_of_paper(x, u, h, c, opt):
    short = tanh(u(c).d)
    c = c - short + short / log(math.e + x.dt)
    f, i = sigmoid(x.f + u(h).f), sigmoid(x.i + u(h).i)
    c = f * c + i * tanh(x.g + u(h).g)
    return dict(h=sigmoid(x.o + u(h).o) * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    x, dt = x[:, :-1], x[:, -1:]
    short = torch.tanh(c @ U.d.T + b.d)
    c = c - short + short / torch.log(math.e + dt)
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f)
    i = torch.sigmoid(x @ W.i.T + h @ U.i.T + b.i)
    c = f * c + i * torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    return torch.sigmoid(x @ W.o.T + h @ U.o.T + b.o) * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + H * H + H) + H * H + H


def prepare(x):
    """Time does not run backwards."""
    x[..., -1].abs_()
