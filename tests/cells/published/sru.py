"""Lei et al. 2018, Simple recurrent units for highly parallelizable recurrence (inputs of
another width).
"""

import torch

from recurra.cells import cell, sigmoid


@cell(states="h c", gates="v f r s", learnt="vf vr")
def sru_of_paper(x, u, h, c, opt):
    f = sigmoid(x.f + opt.vf * c)
    r = sigmoid(x.r + opt.vr * c)
    c = f * c + (1 - f) * x.v
    return dict(h=r * c + (1 - r) * x.s, c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b, p = w.W, w.b, w.p
    f = torch.sigmoid(x @ W.f.T + b.f + p.vf * c)
    r = torch.sigmoid(x @ W.r.T + b.r + p.vr * c)
    c = f * c + (1 - f) * (x @ W.v.T + b.v)
    return r * c + (1 - r) * (x @ W.s.T + b.s), c


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + H) + 2 * H
