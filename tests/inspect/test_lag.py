import numpy as np
import pytest
import torch

from inspect_cases import OTHERS, TEXTS, data_of, load
from recurra import nn
from recurra.cells import find
from recurra.errors import InputError
from recurra.inspect import gradient_by_lag
from recurra.inspect.lag import by_lag
from recurra.inspect.network import Network
from recurra.inspect.reading import read

IDENTITY = find("rnn").program(activation="identity")


def linear(recurrent):
    """h = A h + x, as a network."""
    size = len(recurrent)
    weights = {"weight_ih": np.eye(size), "weight_hh": recurrent}
    weights |= {"bias_ih": np.zeros(size), "bias_hh": np.zeros(size)}
    return Network(IDENTITY, (weights,), ((np.zeros(size),),), size)


@pytest.mark.parametrize("a", [0.5, -0.9, 1.0, 1.1])
def test_a_linear_unit_forgets_by_its_weight(a):
    x = np.random.default_rng(0).normal(size=(200, 1))
    found = gradient_by_lag(linear(np.array([[a]])), x, lags=40)
    np.testing.assert_allclose(found.ratios["0.h"], abs(a) ** np.arange(41), rtol=1e-12)
    np.testing.assert_allclose(found.norms["0.h"][0], 1, rtol=1e-12)
    assert found.anchors == 32


def test_an_orthogonal_network_forgets_nothing():
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(7, 7)))[0]
    found = gradient_by_lag(linear(turn), rng.normal(size=(300, 7)), lags=100)
    np.testing.assert_allclose(found.ratios["0.h"], 1, rtol=1e-12)


@pytest.mark.parametrize("both", [False, True])
def test_a_cell_without_recurrent_weights_keeps_the_product_of_its_forget_gates(both):
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4, bidirectional=both).double()
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_hh"):
            torch.nn.init.zeros_(parameter)
    x = torch.randn(30, 1, 3, dtype=torch.float64)
    reading = read(layer, x, "test")
    vectors, _ = by_lag(reading, lags=12, anchors=5, seed=0)
    visible = reading.run().visible[0]
    for back, suffix in enumerate(["", "_reverse"][: 1 + both]):
        f = visible[back]["f"][:, 0]
        at = np.array([15]) if both else np.unique(np.linspace(12, 29, 5).round().astype(int))
        found = vectors["0.c" + suffix]
        for column, s in enumerate(at):
            for k in range(13):
                kept = f[s : s + k] if back else f[s - k + 1 : s + 1]
                expected = found[0, column] * kept.prod(0)
                np.testing.assert_allclose(found[k, column], expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", [*TEXTS, *OTHERS])
def test_every_task_has_it(name):
    found = gradient_by_lag(load(name), data_of(name), lags=8, anchors=4)
    assert all(np.isfinite(norms).all() for norms in found.norms.values())
    assert ("next token" in found.loss) == name.startswith("lm")


def test_saved_states_and_whole_sequences_agree():
    """Two equal sequences side by side are read whole, one from saved states."""
    layer = torch.nn.GRU(3, 5, 2).double()
    x = torch.randn(25, 1, 3, dtype=torch.float64)
    one = gradient_by_lag(layer, x, lags=10, anchors=1)
    both = gradient_by_lag(layer, torch.cat([x, x], 1)[:11], lags=10, anchors=1)
    first = gradient_by_lag(layer, x[:11], lags=10, anchors=1)
    np.testing.assert_allclose(both.norms["1.h"], first.norms["1.h"], rtol=1e-9)
    assert len(one.lags) == 11


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lags": 0}, "lags: expected a number from 1 on"),
        ({"anchors": True}, "anchors: expected a number from 1 on"),
    ],
)
def test_mistakes_are_told_in_a_line(options, said):
    with pytest.raises(InputError, match=said):
        gradient_by_lag(load("lm-char-gru"), "the big cat", **options)
    with pytest.raises(InputError, match="at least 3 steps, received 2"):
        gradient_by_lag(load("lm-char-gru"), "th")
