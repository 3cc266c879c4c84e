"""De et al. 2024, Griffin: mixing gated linear recurrences (RG-LRU; inputs through weights)."""

import torch

from recurra.cells import cell, exp, sigmoid, softplus, sqrt


@cell(states="h", gates="r i v", learnt="decay", init={"decay": 0.5}, options="c=8")
def rg_lru_of_paper(x, u, h, opt):
    r, i = sigmoid(x.r), sigmoid(x.i)
    a = exp(-opt.c * softplus(opt.decay) * r)
    return dict(h=a * h + sqrt(1 - a**2) * (i * x.v))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, b, p = w.W, w.b, w.p
    r, i = torch.sigmoid(x @ W.r.T + b.r), torch.sigmoid(x @ W.i.T + b.i)
    a = torch.exp(-8 * torch.log1p(torch.exp(p.decay)) * r)
    return (a * h + torch.sqrt(1 - a * a) * (i * (x @ W.v.T + b.v)),)


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (H * I + H) + H
