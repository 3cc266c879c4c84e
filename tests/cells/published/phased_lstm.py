"""Neil et al. 2016, Phased LSTM."""

import torch

from recurra.cells import cell, floor, sigmoid, tanh, where

STARTS = {"tau": 3.0, "s": 0.2, "r": 0.5}


@cell(
    states="h c",
    gates="i f g o",
    inputs="x t:1",
    learnt="pi pf po tau s r",
    init=STARTS,
    options="alpha=0.01",
)
def phased_lstm_of_paper(x, u, h, c, opt):
    phase = (x.t - opt.s) / opt.tau
    phase = phase - floor(phase)
    rising, falling = 2 * phase / opt.r, 2 - 2 * phase / opt.r
    opened = where(phase < opt.r, falling, opt.alpha * phase)
    k = where(phase < opt.r / 2, rising, opened)
    i = sigmoid(x.i + u(h).i + opt.pi * c)
    f = sigmoid(x.f + u(h).f + opt.pf * c)
    new = f * c + i * tanh(x.g + u(h).g)
    o = sigmoid(x.o + u(h).o + opt.po * new)
    return dict(h=k * o * tanh(new) + (1 - k) * h, c=k * new + (1 - k) * c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, p = w.W, w.U, w.b, w.p
    x, t = x[:, :-1], x[:, -1:]
    phase = (t - p.s) / p.tau
    phase = phase - torch.floor(phase)
    opened = torch.where(phase < p.r, 2 - 2 * phase / p.r, 0.01 * phase)
    k = torch.where(phase < p.r / 2, 2 * phase / p.r, opened)
    i = torch.sigmoid(x @ W.i.T + h @ U.i.T + b.i + p.pi * c)
    f = torch.sigmoid(x @ W.f.T + h @ U.f.T + b.f + p.pf * c)
    new = f * c + i * torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    o = torch.sigmoid(x @ W.o.T + h @ U.o.T + b.o + p.po * new)
    return k * o * torch.tanh(new) + (1 - k) * h, k * new + (1 - k) * c


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + H * H + H) + 6 * H
