"""Jaeger 2001, The "echo state" approach to analysing and training recurrent neural networks; with
leaky units (Jaeger et al. 2007). The reservoir is sparse, and nothing of it is learnt.
"""

import numpy as np
import torch

from recurra.cells import cell, tanh


def reservoir(shape, random):
    """A tenth of the weights, scaled to a spectral radius of 0.9."""
    matrix = random.uniform(-1, 1, shape) * (random.random(shape) < 0.1)
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    return matrix * (0.9 / radius if radius > 1e-3 else 1)


def from_input(shape, random):
    return random.uniform(-0.5, 0.5, shape)


@cell(
    states="h",
    gates="a",
    options="leak=0.3",
    init={"fixed_hh": reservoir, "fixed_ih": from_input},
)
def esn_of_paper(x, u, h, opt):
    new = tanh(x(form="fixed").a + u(h, form="fixed").a)
    return dict(h=(1 - opt.leak) * h + opt.leak * new)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    return (0.7 * h + 0.3 * torch.tanh(x @ w.fixed_ih.a.T + h @ w.fixed_hh.a.T),)


def parameters(I, H):
    """As the paper counts them: what is learnt stands behind the reservoir."""
    return 0
