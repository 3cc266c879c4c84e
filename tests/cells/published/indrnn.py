"""Li et al. 2018, Independently recurrent neural network."""

import torch

from recurra.cells import cell, relu


@cell(states="h", gates="h", learnt="w")
def indrnn_of_paper(x, u, h, opt):
    return dict(h=relu(x.h + opt.w * h))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b, p = w.W, w.b, w.p
    return (torch.relu(x @ W.h.T + p.w * h + b.h),)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 2 * H
