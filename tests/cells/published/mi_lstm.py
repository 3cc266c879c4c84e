"""Wu et al. 2016, On multiplicative integration with recurrent neural networks (MI-LSTM)."""

import torch

from recurra.cells import cell, sigmoid, tanh

OPTIONS = {"bias": False}
LEARNT = [f"{kind}_{gate}" for gate in "ifgo" for kind in ("alpha", "beta1", "beta2", "b")]


@cell(
    states="h c",
    gates="i f g o",
    learnt=" ".join(LEARNT),
    init={name: 1.0 for name in LEARNT if name.startswith("alpha")},
)
def mi_lstm_of_paper(x, u, h, c, opt):
    def both(gate):
        alpha, beta1, beta2, b = (
            getattr(opt, f"{kind}_{gate}") for kind in ("alpha", "beta1", "beta2", "b")
        )
        return alpha * x[gate] * u(h)[gate] + beta1 * u(h)[gate] + beta2 * x[gate] + b

    i, f, g, o = sigmoid(both("i")), sigmoid(both("f")), tanh(both("g")), sigmoid(both("o"))
    c = f * c + i * g
    return dict(h=o * tanh(c), c=c)


def step(w, x, h, c):
    """The same in torch, with matrices, biases and parameters by their gates."""

    def both(gate):
        alpha, beta1, beta2, b = (
            getattr(w.p, f"{kind}_{gate}") for kind in ("alpha", "beta1", "beta2", "b")
        )
        own, before = x @ getattr(w.W, gate).T, h @ getattr(w.U, gate).T
        return alpha * own * before + beta1 * before + beta2 * own + b

    i, f, o = torch.sigmoid(both("i")), torch.sigmoid(both("f")), torch.sigmoid(both("o"))
    c = f * c + i * torch.tanh(both("g"))
    return o * torch.tanh(c), c


def parameters(I, H):
    """As the paper counts them."""
    return 4 * (H * I + H * H + 4 * H)
