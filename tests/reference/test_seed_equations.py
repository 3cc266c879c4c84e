"""The textbook equations, literally, in plain numpy; the cells must compute the same.

The text writes one weight matrix a gate, on [h_{t-1}, x_t] concatenated, and one bias.
"""

import numpy as np
import pytest

from recurra.cells import gru, lstm, rnn
from recurra.reference import Interpreter
from tolerances import assert_close

B, T, I, H = 3, 6, 4, 5
rng = np.random.default_rng(0)


def sigma(v):
    return 1 / (1 + np.exp(-v))


def drawn(*shape):
    return rng.normal(size=shape) * 0.7


def stacked(gates, signs=None):
    """Our parameters from one W (H, H + I) and one b (H,) a gate, the bias divided unevenly."""
    signs = signs or [1] * len(gates)
    W = np.concatenate([s * W for s, (W, _) in zip(signs, gates, strict=True)])
    b = np.concatenate([s * b for s, (_, b) in zip(signs, gates, strict=True)])
    return {
        "weight_ih": W[:, H:],
        "weight_hh": W[:, :H],
        "bias_ih": 0.3 * b,
        "bias_hh": 0.7 * b,
    }


def gate():
    return drawn(H, H + I), drawn(H)


def product(weights, first, second):
    W, b = weights
    return np.concatenate([first, second], axis=-1) @ W.T + b


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_simple_rnn(activation):
    """Section 1.2 (sigma) and 2.1 (tanh): W_x x_t + W_h h_{t-1} + b_h."""
    W_x, W_h, b_h, h = drawn(H, I), drawn(H, H), drawn(H), drawn(B, H)
    x = drawn(T, B, I)
    program = rnn.program(activation=activation)
    zeros = np.zeros(H)
    parameters = {"weight_ih": W_x, "weight_hh": W_h, "bias_ih": b_h, "bias_hh": zeros}
    ours = Interpreter(program, parameters).run(x, (h,))
    function = {"sigmoid": sigma, "tanh": np.tanh}[activation]
    for t in range(T):
        h = function(x[t] @ W_x.T + h @ W_h.T + b_h)
        assert_close(ours.outputs[t], h, f"h at {t}")
    assert_close(ours.states[0], h, "final h")


def test_lstm():
    """Section 2.2."""
    W_f, W_i, W_c, W_o = gates = [gate() for _ in range(4)]
    x, h, c = drawn(T, B, I), drawn(B, H), drawn(B, H)
    parameters = stacked([gates[1], gates[0], gates[2], gates[3]])  # i f g o
    ours = Interpreter(lstm.program(), parameters).run(x, (h, c), record=True)
    for t in range(T):
        f = sigma(product(W_f, h, x[t]))
        i = sigma(product(W_i, h, x[t]))
        c_tilde = np.tanh(product(W_c, h, x[t]))
        c = f * c + i * c_tilde
        o = sigma(product(W_o, h, x[t]))
        h = o * np.tanh(c)
        assert_close(ours.outputs[t], h, f"h at {t}")
        for name, value in dict(f=f, i=i, g=c_tilde, c=c, o=o, h=h).items():
            assert_close(ours.visible[name][t], value, f"{name} at {t}")
    assert_close(ours.states[0], h, "final h")
    assert_close(ours.states[1], c, "final c")


def test_gru():
    """Section 2.3: the reset gate before the product, and 1 - z keeps the old state."""
    W_z, W_r, W_h = gates = [gate() for _ in range(3)]
    x, h = drawn(T, B, I), drawn(B, H)
    # Our z keeps the old state: the text's 1 - z, so z's weights and biases change their sign.
    parameters = stacked([gates[1], gates[0], gates[2]], signs=[1, -1, 1])  # r z n
    ours = Interpreter(gru.program(reset="before"), parameters).run(x, (h,), record=True)
    for t in range(T):
        z = sigma(product(W_z, h, x[t]))
        r = sigma(product(W_r, h, x[t]))
        h_tilde = np.tanh(product(W_h, r * h, x[t]))
        h = (1 - z) * h + z * h_tilde
        assert_close(ours.outputs[t], h, f"h at {t}")
        for name, value in dict(z=1 - z, r=r, n=h_tilde, h=h).items():
            assert_close(ours.visible[name][t], value, f"{name} at {t}")
    assert_close(ours.states[0], h, "final h")


def test_gru_with_the_reset_gate_after_the_product():
    W_r, W_z, W_n = [gate() for _ in range(3)]
    U_n, b_n = drawn(H, H), drawn(H)
    x, h = drawn(T, B, I), drawn(B, H)
    parameters = stacked([W_r, W_z, W_n])
    parameters["weight_hh"][2 * H :] = U_n
    parameters["bias_ih"][2 * H :], parameters["bias_hh"][2 * H :] = W_n[1], b_n
    ours = Interpreter(gru.program(reset="after"), parameters).run(x, (h,))
    for t in range(T):
        r, z = sigma(product(W_r, h, x[t])), sigma(product(W_z, h, x[t]))
        n = np.tanh(x[t] @ W_n[0][:, H:].T + W_n[1] + r * (h @ U_n.T + b_n))
        h = (1 - z) * n + z * h
        assert_close(ours.outputs[t], h, f"h at {t}")
