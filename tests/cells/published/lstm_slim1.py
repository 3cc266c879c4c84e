"""Lu & Salem 2017, Simplified gating in long short-term memory recurrent neural networks
(LSTM1).
"""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="i f g o", init={"f": 1.0})
def lstm_slim1_of_paper(x, u, h, c, opt):
    i = sigmoid(u(h).i)
    f = sigmoid(u(h).f)
    g = tanh(x.g + u(h).g)
    o = sigmoid(u(h).o)
    c = f * c + i * g
    return dict(h=o * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    i = torch.sigmoid(h @ U.i.T + b.i)
    f = torch.sigmoid(h @ U.f.T + b.f)
    g = torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    o = torch.sigmoid(h @ U.o.T + b.o)
    c = f * c + i * g
    return o * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 4 * (H * H + H)
