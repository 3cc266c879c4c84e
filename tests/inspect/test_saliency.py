import numpy as np
import pytest
import torch

from inspect_cases import TEXTS, data_of, load
from recurra.cells import find
from recurra.errors import InputError
from recurra.inspect import saliency
from recurra.inspect.network import Network

RNG = np.random.default_rng(5)
METHODS = ("occlusion", "gradient", "integrated")


def linear():
    program = find("rnn").program(activation="identity")
    weights = {"weight_ih": RNG.normal(size=(4, 3)), "weight_hh": RNG.normal(size=(4, 4)) / 3}
    weights |= {"bias_ih": RNG.normal(size=4), "bias_hh": np.zeros(4)}
    return Network(program, (weights,), ((np.zeros(4),),), 3)


def test_of_a_linear_model_all_agree():
    x, network = RNG.normal(size=(20, 3)), linear()
    found = [saliency(network, x, method=m, back=12).values for m in METHODS]
    np.testing.assert_allclose(found[1], found[0], atol=1e-9, rtol=0)
    np.testing.assert_allclose(found[2], found[0], atol=1e-9, rtol=0)
    weights = network.weights[0]
    last = weights["weight_ih"] @ (x[-1] - x.mean(0))
    assert found[0][-1] == pytest.approx(last.sum(), abs=1e-9)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("method", METHODS)
def test_every_language_model_has_it(name, method):
    found = (
        saliency(load(name), data_of(name)[:29], method=method, back=8)
        if "lines" not in name
        else saliency(load(name), data_of(name)[:20], method=method, back=8)
    )
    assert len(found.values) == len(found.steps) == len(found.tokens)
    assert np.isfinite(found.values).all()


def test_integrated_gradients_add_up_to_what_all_steps_say_together():
    layer = torch.nn.LSTM(3, 5, 2).double()
    x = RNG.normal(size=(12, 3))
    found = saliency(layer, x, method="integrated", back=12)
    empty = np.tile(x.mean(0), (12, 1))
    with torch.no_grad():
        score = float(layer(torch.from_numpy(empty))[0][-1].sum())
    assert found.values.sum() == pytest.approx(found.score - score, rel=1e-3)


def test_a_longer_look_back_does_not_change_a_step():
    model, text = load("lm-char-lstm"), data_of("lm-char-lstm")
    short = saliency(model, text, back=4, double=True).values
    np.testing.assert_allclose(
        saliency(model, text, back=9, double=True).values[-4:], short, rtol=1e-9
    )


WRONG = [
    ({"method": "guess"}, "expected one of occlusion, gradient, integrated"),
    ({"at": 0}, "at from 1 to"),
    ({"target": "§"}, "expected a token of the model"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_mistakes_are_told_in_a_line(options, said):
    with pytest.raises(InputError, match=said):
        saliency(load("lm-char-gru"), "the big", **options)
