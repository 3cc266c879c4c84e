"""Lu & Salem 2017, Simplified gating in long short-term memory recurrent neural networks
(LSTM3).
"""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h c", gates="g", learnt="bi bf bo")
def lstm_slim3_of_paper(x, u, h, c, opt):
    i = sigmoid(opt.bi)
    f = sigmoid(opt.bf)
    g = tanh(x.g + u(h).g)
    o = sigmoid(opt.bo)
    c = f * c + i * g
    return dict(h=o * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b, p = w.W, w.U, w.b, w.p
    i = torch.sigmoid(p.bi)
    f = torch.sigmoid(p.bf)
    g = torch.tanh(x @ W.g.T + h @ U.g.T + b.g)
    o = torch.sigmoid(p.bo)
    c = f * c + i * g
    return o * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + 4 * H
