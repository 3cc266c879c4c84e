"""A GRU whose matrices are sparse for good (Mocanu et al. 2018, Scalable training of artificial
neural networks with adaptive sparse connectivity; Bellec et al. 2018), from a mask of each gate.
"""

import torch

from recurra.cells import cell, sigmoid, tanh


def sparse(shape, random):
    return random.random(shape) < 0.4


@cell(states="h", gates="r z n", init={"mask_hh": sparse, "mask_ih": sparse})
def sparse_gru_of_paper(x, u, h, opt):
    x = x(form="masked")
    r = sigmoid(x.r + u(h, form="masked").r)
    z = sigmoid(x.z + u(h, form="masked").z)
    n = tanh(x.n + u(r * h, form="masked").n)
    return dict(h=(1 - z) * n + z * h)


def step(w, x, h):
    """The same in torch, with matrices, biases and parameters by their gates."""

    def gate(name, h):
        W = getattr(w.weight_ih_masked, name) * getattr(w.mask_ih, name)
        U = getattr(w.weight_hh_masked, name) * getattr(w.mask_hh, name)
        return x @ W.T + h @ U.T + getattr(w.b, name)

    r, z = torch.sigmoid(gate("r", h)), torch.sigmoid(gate("z", h))
    n = torch.tanh(gate("n", r * h))
    return ((1 - z) * n + z * h,)


def parameters(I, H):
    """With those that the masks leave out."""
    return 3 * (H * I + H * H + H)
