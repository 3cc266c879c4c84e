"""Zoph & Le 2017, Neural architecture search with reinforcement learning (its cell)."""

import torch

from recurra.cells import cell, relu, sigmoid, tanh

OPTIONS = {"bias": False}


@cell(states="h c", gates="a b d e f g i j")
def nas_of_paper(x, u, h, c, opt):
    v = u(h)
    one = tanh(sigmoid(x.a + v.a) * relu(x.b + v.b))
    two = tanh(sigmoid(x.d + v.d) + relu(x.e * v.e))
    three = tanh(tanh(x.f + v.f) * sigmoid(x.g + v.g))
    four = sigmoid(tanh(x.i + v.i) + sigmoid(x.j + v.j))
    c = tanh(one + c) * two
    return dict(h=tanh(c * tanh(three + four)), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    xs = {n: x @ getattr(w.W, n).T for n in "abdefgij"}
    hs = {n: h @ getattr(w.U, n).T for n in "abdefgij"}
    s = {n: xs[n] + hs[n] for n in xs}
    one = torch.tanh(torch.sigmoid(s["a"]) * torch.relu(s["b"]))
    two = torch.tanh(torch.sigmoid(s["d"]) + torch.relu(xs["e"] * hs["e"]))
    three = torch.tanh(torch.tanh(s["f"]) * torch.sigmoid(s["g"]))
    four = torch.sigmoid(torch.tanh(s["i"]) + torch.sigmoid(s["j"]))
    c = torch.tanh(one + c) * two
    return torch.tanh(c * torch.tanh(three + four)), c


def parameters(I, H):
    """As the paper counts them."""
    return 8 * (H * I + H * H)
