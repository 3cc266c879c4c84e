"""Jaeger et al. 2007, Optimization and applications of echo state networks with
leaky-integrator neurons.
"""

import torch

from recurra.cells import cell, tanh


@cell(states="h", gates="h", options="a=0.3")
def leaky_of_paper(x, u, h, opt):
    return dict(h=(1 - opt.a) * h + opt.a * tanh(x.h + u(h).h))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    return (0.7 * h + 0.3 * torch.tanh(x @ W.h.T + h @ U.h.T + b.h),)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + H
