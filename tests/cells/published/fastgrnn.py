"""Kusupati et al. 2018, FastGRNN."""

import torch

from recurra.cells import cell, sigmoid, tanh

OPTIONS = {"bias": False}


@cell(states="h", gates="a", learnt="bz bn zeta:1 nu:1", init={"zeta": 1.0, "nu": -4.0})
def fastgrnn_of_paper(x, u, h, opt):
    a = x.a + u(h).a
    z = sigmoid(a + opt.bz)
    n = tanh(a + opt.bn)
    return dict(h=(sigmoid(opt.zeta) * (1 - z) + sigmoid(opt.nu)) * n + z * h)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, p = w.W, w.U, w.p
    a = x @ W.a.T + h @ U.a.T
    z, n = torch.sigmoid(a + p.bz), torch.tanh(a + p.bn)
    return ((torch.sigmoid(p.zeta) * (1 - z) + torch.sigmoid(p.nu)) * n + z * h,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + 2 * H + 2
