"""Mujika et al. 2017, Fast-slow recurrent neural networks (FS-LSTM with two fast cells)."""

import torch

from recurra.cells import cell, sigmoid, tanh

KINDS = "ifgo"
#: Gates of the first fast cell, of the slow one and of the second fast one, by what they read.
PARTS = ("first", "slow_fast", "slow", "second_slow", "second")
GATES = " ".join(f"{part}_{kind}" for part in PARTS for kind in KINDS)


@cell(states="h c s d", gates=GATES)
def fast_slow_of_paper(x, u, h, c, s, d, opt):
    def lstm(products, c):
        i, f, g, o = (sum(p[f"{part}_{kind}"] for part, p in products.items()) for kind in KINDS)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    fast, c = lstm({"first": x + u(h)}, c)
    s, d = lstm({"slow_fast": u(fast), "slow": u(s)}, d)
    h, c = lstm({"second_slow": u(s), "second": u(fast)}, c)
    return dict(h=h, c=c, s=s, d=d)


def step(w, x, h, c, s, d):
    """The same in torch, with matrices, biases and parameters by their gates."""

    def product(part, kind, value, matrices=w.U):
        return value @ getattr(matrices, f"{part}_{kind}").T

    def lstm(read, c):
        i, f, g, o = (
            sum(product(p, k, v) + getattr(w.b, f"{p}_{k}") for p, v in read.items()) for k in KINDS
        )
        if "first" in read:
            i, f, g, o = (
                a + product("first", k, x, w.W) for k, a in zip(KINDS, (i, f, g, o), strict=True)
            )
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    fast, c = lstm({"first": h}, c)
    s, d = lstm({"slow_fast": fast, "slow": s}, d)
    h, c = lstm({"second_slow": s, "second": fast}, c)
    return h, c, s, d


def parameters(I, H):
    """As the paper counts them, but that each of two products has a bias in two of the cells."""
    return 4 * (H * I + H * H + H) + 2 * 4 * (2 * H * H + 2 * H)
