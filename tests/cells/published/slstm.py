"""Beck et al. 2024, xLSTM: the sLSTM with its stabiliser, two heads."""

import torch

from recurra.cells import cell, exp, maximum, sigmoid, softplus, tanh


@cell(states="h c n=1 m=-inf", gates="i f z o")
def slstm_of_paper(x, u, h, c, n, m, opt):
    v = u(h, heads=2)
    f = -softplus(-(x.f + v.f))  # log sigmoid
    i, z, o = x.i + v.i, tanh(x.z + v.z), sigmoid(x.o + v.o)
    new = maximum(f + m, i)
    i, f = exp(i - new), exp(f + m - new)
    c, n = f * c + i * z, f * n + i
    return dict(h=o * c / n, c=c, n=n, m=new)


def step(w, x, h, c, n, m):
    """The same in torch, with matrices, biases and parameters by their gates."""
    W, U, b = w.W, w.weight_hh_heads2, w.b

    def gate(name):
        half = h.shape[1] // 2
        matrix = torch.block_diag(*getattr(U, name).split(half))
        return x @ getattr(W, name).T + h @ matrix.T + getattr(b, name)

    f, i = torch.nn.functional.logsigmoid(gate("f")), gate("i")
    z, o = torch.tanh(gate("z")), torch.sigmoid(gate("o"))
    new = torch.maximum(f + m, i)
    i, f = torch.exp(i - new), torch.exp(f + m - new)
    c, n = f * c + i * z, f * n + i
    return o * c / n, c, n, new


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + 2 * (H // 2) ** 2 + H)
