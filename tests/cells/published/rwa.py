"""Ostmeyer & Cowell 2017, Machine learning on sequential data: a recurrent weighted average."""

import torch

from recurra.cells import cell, exp, maximum, tanh

OPTIONS = {"bias": False}


@cell(states="h n d m=-inf", gates="v g a", learnt="bu bg")
def rwa_of_paper(x, u, h, n, d, m, opt):
    z = (x.v + opt.bu) * tanh(x.g + u(h).g + opt.bg)
    a = x.a + u(h).a
    most = maximum(m, a)
    n = n * exp(m - most) + z * exp(a - most)
    d = d * exp(m - most) + exp(a - most)
    return dict(h=tanh(n / d), n=n, d=d, m=most)


def step(w, x, h, n, d, m):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, p = w.W, w.U, w.p
    z = (x @ W.v.T + p.bu) * torch.tanh(x @ W.g.T + h @ U.g.T + p.bg)
    a = x @ W.a.T + h @ U.a.T
    most = torch.maximum(m, a)
    n = n * torch.exp(m - most) + z * torch.exp(a - most)
    d = d * torch.exp(m - most) + torch.exp(a - most)
    return torch.tanh(n / d), n, d, most


def prepare_states(states):
    """A sum of weights is above zero."""
    states[2].abs_().add_(0.5)


def parameters(I, H):
    """As the paper counts them, but for the learnt initial state."""
    return 3 * H * I + 2 * H * H + 2 * H
