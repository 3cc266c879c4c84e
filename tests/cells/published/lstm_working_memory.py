"""Landi et al. 2021, Working memory connections for LSTM."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="i f g o vi vf vo", init={"f": 1.0})
def lstm_working_memory_of_paper(x, u, h, c, opt):
    i = sigmoid(x.i + u(h).i + tanh(u(c).vi))
    f = sigmoid(x.f + u(h).f + tanh(u(c).vf))
    c = f * c + i * tanh(x.g + u(h).g)
    o = sigmoid(x.o + u(h).o + tanh(u(c).vo))
    return dict(h=o * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    i = torch.sigmoid(x @ W.i.T + h @ U.i.T + b.i + torch.tanh(c @ U.vi.T + b.vi))
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f + torch.tanh(c @ U.vf.T + b.vf))
    c = f * c + i * torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    o = torch.sigmoid(x @ W.o.T + h @ U.o.T + b.o + torch.tanh(c @ U.vo.T + b.vo))
    return o * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + H * H + H) + 3 * (H * H + H)
