"""Koutník et al. 2014, A clockwork RNN (three modules, of periods 1, 2 and 4)."""

import numpy as np
import torch

from recurra.cells import cell, floor, tanh, where

MODULES = 3


def module_of(units):
    return np.arange(units) * MODULES // units


def period(shape, random):
    return 2.0 ** module_of(shape[0])


def from_slower(shape, random):
    """A module reads itself and those of longer periods."""
    module = module_of(shape[0])
    return module[:, None] <= module


@cell(
    states="h t",
    gates="a",
    fixed="period",
    init={"period": period, "mask_hh": from_slower},
)
def clockwork_of_paper(x, u, h, t, opt):
    new = tanh(x.a + u(h, form="masked").a)
    late = t / opt.period - floor(t / opt.period)
    return dict(h=where(late > 0.01, h, new), t=t + 1)


def step(w, x, h, t):
    """The same in torch, with matrices, biases and parameters by their gates."""
    new = torch.tanh(x @ w.W.a.T + h @ (w.mask_hh.a * w.weight_hh_masked.a).T + w.b.a)
    late = t / w.p.period - torch.floor(t / w.p.period)
    return torch.where(late > 0.01, h, new), t + 1


def prepare_states(states):
    """Steps are counted from 0."""
    states[1].zero_()


def parameters(I, H):
    """With those that the mask leaves out."""
    return H * I + H * H + H
