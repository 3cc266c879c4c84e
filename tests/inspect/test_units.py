import numpy as np
import pytest
import torch

from inspect_cases import OTHERS, TEXTS, data_of, load
from recurra import nn
from recurra.cells import cell, find, sigmoid, tanh
from recurra.errors import InputError
from recurra.inspect import effective_rank, saturation, time_constant
from recurra.inspect.network import Network

X = np.random.default_rng(0).normal(size=(40, 2, 3))


def lstm(bias, *, cell="LSTM", zoneout=0.0):
    """A layer of constant gates: no weights, biases by gate."""
    torch.manual_seed(0)
    layer = getattr(nn, cell)(3, 4, zoneout=zoneout).double().eval()
    for name, parameter in layer.named_parameters():
        torch.nn.init.zeros_(parameter)
        if name == "bias_ih_l0":
            for gate, value in bias.items():
                start = layer.cell.gates.index(gate) * 4
                torch.nn.init.constant_(parameter.detach()[start : start + 4], value)
    return layer


def logit(p):
    return float(np.log(p / (1 - p)))


@pytest.mark.parametrize(("bias", "shut", "opened"), [(50, 0, 1), (-50, 1, 0), (0, 0, 0)])
def test_a_gate_that_stands_still_is_shut_or_open_all_the_time(bias, shut, opened):
    found = saturation(lstm({"i": bias, "f": bias, "o": bias}), X)
    assert set(found.shut[0]) == {"i", "f", "o"}
    for gate in found.shut[0]:
        np.testing.assert_array_equal(found.shut[0][gate], shut)
        np.testing.assert_array_equal(found.opened[0][gate], opened)
    assert set(found.extreme[0]) == {"g", "h"}


def test_a_candidate_at_the_end_of_its_range_is_extreme():
    found = saturation(lstm({"g": -50, "i": 50, "f": 50, "o": 50}), X)
    np.testing.assert_array_equal(found.extreme[0]["g"], 1)
    assert (found.extreme[0]["h"] > 0.9).all()  # c reaches -2 in two steps


@pytest.mark.parametrize(
    ("cell", "gate", "state"), [("LSTM", "f", "c"), ("GRU", "z", "h")], ids=["lstm", "gru"]
)
def test_a_gate_of_nine_tenths_forgets_in_nine_and_a_half_steps(cell, gate, state):
    found = time_constant(lstm({gate: logit(0.9)}, cell=cell), X)
    np.testing.assert_allclose(found.layers[0][state], -1 / np.log(0.9), atol=0, rtol=1e-9)
    assert round(float(found.layers[0][state][0]), 3) == 9.491
    assert list(found.layers[0]) == [state]


def test_zoneout_keeps_its_share_beside_the_gate():
    found = time_constant(lstm({"f": logit(0.5)}, zoneout=0.2), X)
    np.testing.assert_allclose(found.layers[0]["c"], -1 / np.log(0.2 + 0.8 * 0.5), rtol=1e-9)
    np.testing.assert_allclose(found.layers[0]["h"], -1 / np.log(0.2), rtol=1e-9)


def minimal(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    n = tanh(x.n + u(f * h).n)
    h = (1 - f) * h + f * n
    return dict(f=f, n=n, h=h)


def leaky_with_weights(x, u, h, opt):
    n = tanh(x.n + u(h).n)
    h = opt.w * h + (1 - opt.w) * n
    return dict(n=n, h=h)


def unnamed(x, u, h, opt):
    h = sigmoid(x.f) * h + tanh(u(h).n)
    return dict(h=h)


def test_any_cell_that_keeps_has_a_time_constant():
    mgu = cell(states="h", gates="f n")(minimal)
    layer = nn.Recurrent(mgu, 3, 4).double()
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    found = time_constant(layer, X)
    np.testing.assert_allclose(found.layers[0]["h"], -1 / np.log(0.5), rtol=1e-9)
    slow = cell(states="h", gates="n", learnt="w", init={"w": 0.9})(leaky_with_weights)
    found = time_constant(nn.Recurrent(slow, 3, 4, init="orthogonal").double(), X)
    np.testing.assert_allclose(found.layers[0]["h"], -1 / np.log(0.9), rtol=1e-6)
    with pytest.raises(InputError, match="equations give no name"):
        time_constant(nn.Recurrent(cell(states="h", gates="f n")(unnamed), 3, 4).double(), X)


def test_a_plain_cell_keeps_nothing_and_says_so():
    with pytest.raises(InputError, match="the cell rnn has no gate that keeps a state"):
        time_constant(torch.nn.RNN(3, 4), X)


@pytest.mark.parametrize("rank", [1, 3])
def test_states_on_a_line_have_rank_one(rank):
    """An identity network without recurrence: the states are the inputs."""
    program = find("rnn").program(activation="identity")
    rng = np.random.default_rng(1)
    mixing = np.linalg.qr(rng.normal(size=(5, 5)))[0][:, :rank]
    weights = {"weight_ih": mixing, "weight_hh": np.zeros((5, 5))}
    weights |= {"bias_ih": np.zeros(5), "bias_hh": np.zeros(5)}
    network = Network(program, (weights,), ((np.zeros(5),),), rank)
    x = np.linalg.qr(rng.normal(size=(30, rank)))[0]
    found = effective_rank(network, x, centred=False)
    np.testing.assert_allclose([found.entropy[0], found.participation[0]], rank, rtol=1e-9)
    assert effective_rank(network, x * 0, centred=False).entropy[0] == 0


@pytest.mark.parametrize("name", [*TEXTS, *OTHERS])
def test_every_task_has_them(name):
    model, data = load(name), data_of(name)
    shares = saturation(model, data)
    for layer in (*shares.shut, *shares.opened, *shares.extreme):
        assert all(((v >= 0) & (v <= 1)).all() for v in layer.values())
    rank = effective_rank(model, data)
    assert (rank.entropy <= rank.units + 1e-9).all()
    assert (rank.entropy >= 1).all()
    if name != "lm-byte-rnn":
        assert all(
            (v > 0).all() for layer in time_constant(model, data).layers for v in layer.values()
        )


@pytest.mark.parametrize("measure", [saturation, time_constant, effective_rank])
def test_figures_and_json(measure):
    import json

    found = measure(load("lm-char-gru"), data_of("lm-char-gru"))
    json.dumps(found.to_dict(), allow_nan=False)
    pytest.importorskip("matplotlib")
    assert found.figure().axes
