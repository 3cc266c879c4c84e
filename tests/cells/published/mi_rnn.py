"""Wu et al. 2016, On multiplicative integration with recurrent neural networks."""

import torch

from recurra.cells import cell, tanh

OPTIONS = {"bias": False}


@cell(
    states="h",
    gates="h",
    learnt="alpha beta1 beta2 b",
    init={"alpha": 1.0, "beta1": 0.5, "beta2": 0.5, "b": 0.0},
)
def mi_rnn_of_paper(x, u, h, opt):
    w, v = x.h, u(h).h
    return dict(h=tanh(opt.alpha * w * v + opt.beta1 * v + opt.beta2 * w + opt.b))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, p = w.W, w.U, w.p
    w, v = x @ W.h.T, h @ U.h.T
    return (torch.tanh(p.alpha * w * v + p.beta1 * v + p.beta2 * w + p.b),)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + 4 * H
