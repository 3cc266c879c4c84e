"""Jozefowicz et al. 2015, An empirical exploration of recurrent network architectures
(MUT1; its tanh(x) through weights of their own).
"""

import torch

from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="z r v n")
def mut1_of_paper(x, u, h, opt):
    z = sigmoid(x.z)
    r = sigmoid(x.r + u(h).r)
    n = tanh(u(r * h).n + tanh(x.v))
    return dict(h=n * z + h * (1 - z))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    z = torch.sigmoid(x @ W.z.T + b.z)
    r = torch.sigmoid(x @ W.r.T + h @ U.r.T + b.r)
    n = torch.tanh((r * h) @ U.n.T + b.n + torch.tanh(x @ W.v.T + b.v))
    return (n * z + h * (1 - z),)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * H * I + 2 * H * H + 4 * H
