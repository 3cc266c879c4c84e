import numpy as np
import pytest
import torch

from inspect_cases import OTHERS, TEXTS, data_of, load
from recurra import nn
from recurra.errors import InputError
from recurra.inspect import Edit, ablate, clamp, exchange, gates, patch, patched
from recurra.inspect.lag import by_lag
from recurra.inspect.reading import read


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def plain_lstm(layer, x, change):
    """Two layers of LSTM, a line a gate; `change(layer, name, t, value)` edits."""
    weights = {n: p.detach().numpy() for n, p in layer.named_parameters()}
    found = {}
    for k in range(layer.num_layers):
        w, u = weights[f"weight_ih_l{k}"], weights[f"weight_hh_l{k}"]
        b = weights[f"bias_ih_l{k}"] + weights[f"bias_hh_l{k}"]
        h = c = np.zeros((x.shape[1], u.shape[1]))
        out = []
        for t in range(len(x)):
            i, f, g, o = np.split(x[t] @ w.T + h @ u.T + b, 4, axis=1)
            i = change(k, "i", t, sigmoid(i))
            f = change(k, "f", t, sigmoid(f))
            g = change(k, "g", t, np.tanh(g))
            c = change(k, "c", t, f * c + i * g)
            o = change(k, "o", t, sigmoid(o))
            h = change(k, "h", t, o * np.tanh(c))
            out.append(h)
        x = np.stack(out)
        found[k] = x
    return x, h, c


def one_unit(t, v):
    made = v.copy()
    made[:, 2] = 0.75
    return made


OTHER = np.linspace(-1, 1, 5)
EDITS = {
    "patch": (patch(0, "c", 2, 0.75, at=3), lambda t, v: one_unit(t, v) if t == 3 else v),
    "clamp": (clamp(1, "f", 0.4, 0.5), lambda t, v: v.clip(0.4, 0.5)),
    "clamp late": (
        clamp(0, "o", 0.4, 0.5, since=4),
        lambda t, v: v.clip(0.4, 0.5) if t >= 4 else v,
    ),
    "exchange": (
        exchange(1, "h", OTHER, at=5),
        lambda t, v: np.tile(OTHER, (len(v), 1)) if t == 5 else v,
    ),
    "ablate": (ablate(0, "h", [2], 0.75, since=2), lambda t, v: one_unit(t, v) if t >= 2 else v),
    "function": (Edit(1, "g", lambda t, v: -v * t), lambda t, v: -v * t),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("library", [torch.nn, nn])
def test_edits_are_exact_against_a_plain_loop(name, library):
    torch.manual_seed(0)
    layer = library.LSTM(3, 5, 2).double()
    x = torch.randn(8, 2, 3, dtype=torch.float64)
    edit, change = EDITS[name]

    def at(k, called, t, v):
        return change(t, v) if (k, called) == (edit.layer, edit.name) else v

    outputs, h, c = plain_lstm(layer, x.numpy(), at)
    found, states = patched(layer, edit)(x)
    np.testing.assert_allclose(found.detach().numpy(), outputs, atol=1e-12)
    np.testing.assert_allclose(states[0][1].detach().numpy(), h, atol=1e-12)
    np.testing.assert_allclose(states[1][1].detach().numpy(), c, atol=1e-12)
    plain, _ = layer(x)
    assert not np.allclose(plain.detach().numpy(), outputs)
    np.testing.assert_allclose(patched(layer)(x)[0].detach().numpy(), plain.detach(), atol=1e-12)
    found.sum().backward()


@pytest.mark.parametrize("both", [False, True])
def test_steps_count_by_their_place_in_either_direction(both):
    torch.manual_seed(0)
    layer = nn.GRU(3, 4, bidirectional=True, batch_first=True).double()
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    seen = []
    edit = Edit(0, "h", lambda t, v: (seen.append(t), v)[1], reverse=both)
    patched(layer, edit)(x)
    assert seen == (list(range(5, -1, -1)) if both else list(range(6)))


def test_a_gate_that_depends_on_the_input_alone_is_edited_before_all_that_reads_it():
    """A cell whose gate and candidate are known before the loop."""
    from recurra.cells import cell

    def light(x, u, h, opt):
        from recurra.cells import sigmoid, tanh

        f = sigmoid(x.f)
        n = tanh(x.n) * (1 - f)
        h = f * h + n
        return dict(f=f, n=n, h=h)

    layer = nn.Recurrent(cell(states="h", gates="f n")(light), 3, 4).double()
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    found, _ = patched(layer, Edit(0, "f", lambda t, v: v * 0 + 0.25))(x)
    w, b = layer.weight_ih_l0.detach().numpy(), layer.bias_ih_l0.detach().numpy()
    n = np.tanh(x.numpy() @ w[4:].T + b[4:]) * 0.75
    h = np.zeros((2, 4))
    for t in range(7):
        h = 0.25 * h + n[t]
        np.testing.assert_allclose(found[t].detach().numpy(), h, atol=1e-12)


@pytest.mark.parametrize("name", TEXTS)
def test_a_language_model_with_a_unit_held_does_all_that_the_model_does(name):
    model, text = load(name), data_of(name)
    other = patched(model, ablate(0, "h", [1, 3], 0.5))
    seen = gates(other, text)
    np.testing.assert_array_equal(seen.layers[0]["h"][:, [1, 3]], np.float32(0.5))
    bits = other.evaluate(text=text).nats / np.log(2)
    assert seen.bits == pytest.approx(bits, rel=1e-5)
    assert bits != pytest.approx(gates(model, text).bits, rel=1e-7)
    assert other.generate("the", max_tokens=4, temperature=0).text is not None
    assert gates(patched(model), text).bits == pytest.approx(gates(model, text).bits, rel=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_every_task_predicts_with_values_changed(name):
    model, data = load(name), data_of(name)
    layer = patched(model, ablate(0, "h", [0, 1], 0.9))
    found = gates(layer, data)
    np.testing.assert_array_equal(found.layers[0]["h"][:, :2], np.float32(0.9))


@pytest.mark.parametrize("name", ["lm-char-lstm", "lm-char-gru", "lm-byte-rnn", "lm-own-cell"])
def test_gradient_by_lag_agrees_with_finite_differences(name):
    """∂L_s/∂(state at s - k), by moving that state as the step computes it, in float64."""
    reading = read(load(name), data_of(name), "test", double=True)
    lags = 4
    vectors, _ = by_lag(reading, lags=lags, anchors=3, seed=0)
    network, tokens = reading.network, reading.tokens
    s = int(np.unique(np.linspace(lags, len(tokens) - 2, 3).round().astype(int))[1])

    def loss(layer, state, unit, k, by):
        def move(t, v):
            made = v.copy()
            made[:, unit] += by
            return made if t == s - k else v

        ran = patched(network, Edit(layer, state, move)).run(None, tokens[: s + 1], look=False)
        return -reading.language.steps.chosen(ran.outputs[-1:], tokens[s + 1 : s + 2])[0, 0]

    for layer in range(network.layers):
        for state in network.states:
            for k in (0, 3):
                for unit in (0, 4):
                    ends = [loss(layer, state, unit, k, by) for by in (1e-5, -1e-5)]
                    slope = (ends[0] - ends[1]) / 2e-5
                    found = vectors[f"{layer}.{state}"][k, 1, unit]
                    assert found == pytest.approx(slope, rel=1e-5, abs=1e-9)


WRONG = [
    (lambda: patched(torch.nn.LSTM(2, 3), patch(1, "h", 0, 0, at=0)), "number from 0 to 0"),
    (lambda: patched(torch.nn.LSTM(2, 3), patch(0, "z", 0, 0, at=0)), "among i, f, g, o, c, h"),
    (lambda: patched(torch.nn.LSTM(2, 3), "h"), "expected edits, received"),
    (
        lambda: patched(torch.nn.LSTM(2, 3), Edit(0, "h", lambda t, v: v, reverse=True)),
        "read in one direction",
    ),
    (lambda: patched(load("lm-ngram-char"), ablate(0, "h", [0])), "expected recurrent layers"),
    (
        lambda: patched(load("lm-char-gru"), patch(0, "h", 0, 1, at=3)).evaluate(text="the big"),
        "which is read in pieces here",
    ),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_mistakes_are_told_in_a_line(number):
    call, said = WRONG[number]
    with pytest.raises(InputError, match=said):
        call()
