"""Bradbury et al. 2016, Quasi-recurrent neural networks (fo-pooling, width 2)."""

import torch

from recurra.cells import before, cell, sigmoid, tanh

OPTIONS = {"bias": False}


@cell(states="h c", gates="z f o z1 f1 o1", learnt="bz bf bo")
def qrnn2_of_paper(x, u, h, c, opt):
    z = tanh(x.z + before(x.z1) + opt.bz)
    f = sigmoid(x.f + before(x.f1) + opt.bf)
    o = sigmoid(x.o + before(x.o1) + opt.bo)
    c = f * c + (1 - f) * z
    return dict(h=o * c, c=c)


def step(w, x, h, c, *earlier):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, p = w.W, w.p
    z = torch.tanh(x @ W.z.T + earlier[0] + p.bz)
    f = torch.sigmoid(x @ W.f.T + earlier[1] + p.bf)
    c = f * c + (1 - f) * z
    o = torch.sigmoid(x @ W.o.T + earlier[2] + p.bo)
    return o * c, c, x @ W.z1.T, x @ W.f1.T, x @ W.o1.T


def parameters(I, H):
    """As the paper counts them."""
    return 3 * (2 * H * I + H)
