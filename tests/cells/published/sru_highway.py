"""Lei et al. 2018, Simple recurrent units (as many inputs as units: the highway has no matrix)."""

import torch

from recurra.cells import cell, sigmoid

FEATURES = 6


@cell(states="h c", gates="v f r", learnt="vf vr")
def sru_highway_of_paper(x, u, h, c, opt):
    f = sigmoid(x.f + opt.vf * c)
    r = sigmoid(x.r + opt.vr * c)
    c = f * c + (1 - f) * x.v
    return dict(h=r * c + (1 - r) * x.raw, c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b, p = w.W, w.b, w.p
    f = torch.sigmoid(x @ W.f.T + b.f + p.vf * c)
    r = torch.sigmoid(x @ W.r.T + b.r + p.vr * c)
    c = f * c + (1 - f) * (x @ W.v.T + b.v)
    return r * c + (1 - r) * x, c


def parameters(I, H):
    """As the paper counts them, but for the bias of v, which every gate has here."""
    return 3 * (H * I + H) + 2 * H
