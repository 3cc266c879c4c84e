"""Le et al. 2015, A simple way to initialize recurrent networks of rectified linear units."""

import numpy as np
import torch

from recurra.cells import cell, relu


def identity(shape, random):
    return np.eye(shape[0])


@cell(states="h", gates="h", init={"weight_hh": identity})
def irnn_of_paper(x, u, h, opt):
    return dict(h=relu(x.h + u(h).h))


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.U, w.b
    return (torch.relu(x @ W.h.T + h @ U.h.T + b.h),)


def parameters(I, H):
    """As the paper counts them."""
    return H * I + H * H + H
