"""Shen et al. 2019, Ordered neurons: ON-LSTM (a unit to each level)."""

import numpy as np
import torch

from recurra.cells import cell, sigmoid, softmax, tanh

OPTIONS = {"bias": False}


def sums_so_far(shape, random):
    """cumsum is a product with a triangle of ones."""
    return np.tri(shape[0])


@cell(states="h c", gates="i f g o mf mi", init={"fixed_hh": sums_so_far})
def on_lstm_of_paper(x, u, h, c, opt):
    i, f, o = sigmoid(x.i + u(h).i), sigmoid(x.f + u(h).f), sigmoid(x.o + u(h).o)
    above = u(softmax(x.mf + u(h).mf), form="fixed").mf
    below = 1 - u(softmax(x.mi + u(h).mi), form="fixed").mi
    both = above * below
    c = (f * both + above - both) * c + (i * both + below - both) * tanh(x.g + u(h).g)
    return dict(h=o * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U = w.W, w.U

    def gate(name):
        return x @ getattr(W, name).T + h @ getattr(U, name).T

    i, f, o = torch.sigmoid(gate("i")), torch.sigmoid(gate("f")), torch.sigmoid(gate("o"))
    above = torch.softmax(gate("mf"), -1) @ w.fixed_hh.mf.T
    below = 1 - torch.softmax(gate("mi"), -1) @ w.fixed_hh.mi.T
    both = above * below
    c = (f * both + above - both) * c + (i * both + below - both) * torch.tanh(gate("g"))
    return o * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them, without biases."""
    return 6 * (H * I + H * H)
