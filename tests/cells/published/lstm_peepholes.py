"""Gers et al. 2002, Learning precise timing with LSTM recurrent networks."""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="i f g o", init={"f": 1.0}, learnt="pi pf po")
def lstm_peepholes_of_paper(x, u, h, c, opt):
    i = sigmoid(x.i + u(h).i + opt.pi * c)
    f = sigmoid(x.f + u(h).f + opt.pf * c)
    g = tanh(x.g + u(h).g)
    c = f * c + i * g
    o = sigmoid(x.o + u(h).o + opt.po * c)
    return dict(h=o * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, p = w.W, w.U, w.b, w.p
    i = torch.sigmoid(x @ W.i.T + h @ U.i.T + b.i + p.pi * c)
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f + p.pf * c)
    g = torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    c = f * c + i * g
    o = torch.sigmoid(x @ W.o.T + h @ U.o.T + b.o + p.po * c)
    return o * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + H * H + H) + 3 * H
