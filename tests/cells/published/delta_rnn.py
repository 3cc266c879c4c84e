"""Ororbia et al. 2017, Learning simpler language models with the differential state framework."""

import torch

from recurra.cells import cell, sigmoid, tanh

OPTIONS = {"bias": False}


@cell(states="h", gates="n", learnt="alpha beta1 beta2 b br", init={"alpha": 2.0})
def delta_rnn_of_paper(x, u, h, opt):
    inner = opt.alpha * u(h).n * x.n
    outer = opt.beta1 * u(h).n + opt.beta2 * x.n
    z = tanh(inner + outer + opt.b)
    r = sigmoid(x.n + opt.br)
    return dict(h=tanh((1 - r) * z + r * h))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    p, own, before = w.p, x @ w.W.n.T, h @ w.U.n.T
    z = torch.tanh(p.alpha * before * own + p.beta1 * before + p.beta2 * own + p.b)
    r = torch.sigmoid(own + p.br)
    return (torch.tanh((1 - r) * z + r * h),)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + 5 * H
