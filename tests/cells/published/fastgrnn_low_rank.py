"""Kusupati et al. 2018, FastGRNN (a recurrent matrix of rank 2)."""

import torch

from recurra.cells import cell, sigmoid, tanh

OPTIONS = {"bias": False}


@cell(states="h", gates="a", learnt="bz bn zeta:1 nu:1", init={"zeta": 1.0, "nu": -4.0})
def fastgrnn_low_rank_of_paper(x, u, h, opt):
    a = x.a + u(h, rank=2).a
    z = sigmoid(a + opt.bz)
    n = tanh(a + opt.bn)
    return dict(h=(sigmoid(opt.zeta) * (1 - z) + sigmoid(opt.nu)) * n + z * h)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    p = w.p
    a = x @ w.W.a.T + h @ w.weight_hh_rank2_right.a.T @ w.weight_hh_rank2_left.a.T
    z, n = torch.sigmoid(a + p.bz), torch.tanh(a + p.bn)
    return ((torch.sigmoid(p.zeta) * (1 - z) + torch.sigmoid(p.nu)) * n + z * h,)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + 2 * H * 2 + 2 * H + 2
