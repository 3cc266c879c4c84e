"""Kratzert et al. 2019, Towards learning universal, regional, and local hydrological behaviors:
the entity-aware LSTM, whose input gate reads what does not change.
"""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="i f g o", inputs="x s:4", init={"f": 3.0})
def ea_lstm_of_paper(x, u, h, c, opt):
    i, f = sigmoid(x.s.i), sigmoid(x.f + u(h).f)
    c = f * c + i * tanh(x.g + u(h).g)
    return dict(h=sigmoid(x.o + u(h).o) * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    x, s = x[:, :-4], x[:, -4:]
    i = torch.sigmoid(s @ w.weight_ih_s.i.T + b.i)
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f)
    c = f * c + i * torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    return torch.sigmoid(x @ W.o.T + h @ U.o.T + b.o) * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return 4 * H + H + 3 * (H * I + H * H + H)
