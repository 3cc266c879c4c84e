import numpy as np
import pytest
import torch

from inspect_cases import OTHERS, TEXTS, data_of, load
from recurra import nn
from recurra.errors import InputError
from recurra.inspect import gates
from recurra.inspect.network import of_module
from recurra.reference import Interpreter


@pytest.mark.parametrize("name", TEXTS)
def test_surprise_adds_up_to_what_evaluate_measures(name):
    model, text = load(name), data_of(name)
    bits = gates(model, text).bits
    assert bits == pytest.approx(model.evaluate(text=text).nats / np.log(2), rel=1e-12)
    assert gates(model, text, double=True).bits == pytest.approx(bits, rel=1e-5)


@pytest.mark.parametrize("name", [*TEXTS, *OTHERS])
def test_every_task_shows_what_its_layers_name(name):
    found = gates(load(name), data_of(name))
    assert len(found.step) > 1
    for layer in found.layers:
        assert {len(v) for v in layer.values()} == {len(found.step)}
        assert all(np.isfinite(v).all() for v in layer.values())


def test_sequences_come_in_the_order_in_which_they_were_given():
    model = load("classifier-words")
    both = gates(model, ["a bad film , again", "lovely"])
    alone = gates(model, ["lovely"])
    np.testing.assert_array_equal(both.values["h"][both.sequence == 1], alone.values["h"])


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("library", [torch.nn, nn])
def test_layers_of_torch_and_ours_agree_with_their_outputs(cell, both, library):
    torch.manual_seed(0)
    layer = getattr(library, cell)(3, 5, 2, bidirectional=both, batch_first=True).double()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    found = gates(layer, x).values
    outputs = np.concatenate([found[n] for n in ("h", "h_reverse") if n in found], axis=1)
    np.testing.assert_allclose(
        outputs.reshape(2, 7, -1), layer(x)[0].detach().numpy(), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_kernels_and_reference_see_the_same(cell):
    torch.manual_seed(1)
    layer = nn.Recurrent(cell, 3, 5, 2, zoneout=0.3, learn_initial_state=True, residual=True)
    x = torch.randn(9, 2, 3, dtype=torch.float64)
    network = of_module(layer.double().eval())
    lengths = np.array([9, 4])
    fast = network.run(x.numpy(), lengths=lengths)
    slow = network.edited({0: Interpreter, 1: Interpreter}).run(x.numpy(), lengths=lengths)
    np.testing.assert_allclose(fast.outputs, slow.outputs, atol=1e-12, rtol=0)
    for one, other in zip(fast.visible, slow.visible, strict=True):
        for name, values in one[0].items():
            np.testing.assert_allclose(values, other[0][name], atol=1e-12, rtol=0)


def test_long_texts_are_read_in_calls_of_a_bounded_size(monkeypatch):
    model, text = load("lm-char-lstm"), data_of("lm-char-lstm")
    whole = gates(model, text)
    monkeypatch.setattr("recurra.inspect.network._CALL", 7)
    np.testing.assert_array_equal(whole.values["c"], gates(model, text).values["c"])


WRONG = [
    (lambda: gates(load("lm-ngram-char"), "ab"), "expected recurrent layers, received a KneserNey"),
    (lambda: gates(torch.nn.Linear(2, 2), torch.zeros(2, 2)), "expected a recurrent layer"),
    (lambda: gates(torch.nn.Sequential(torch.nn.LSTM(2, 2)), 1), "holds one: give that layer"),
    (lambda: gates(torch.nn.LSTM(2, 2), torch.zeros(2, 3)), r"expected an input \(T, 2\)"),
    (lambda: gates("model", "ab"), "expected a trained model, a layer"),
    (lambda: gates(load("lm-char-gru"), "a"), "expected at least 2 tokens, received 1"),
    (lambda: gates(load("lm-char-gru"), [0, 999]), "expected tokens from 0 to"),
    (lambda: gates(load("lm-char-gru"), 3.5), "expected a text, or its tokens"),
    (lambda: gates(load("lm-char-gru"), "the", names=["f"]), "expected names among r, z, n, h"),
    (lambda: gates(load("lm-char-gru"), "the", 9), "layer: expected a number from 0 to"),
    (lambda: gates(load("tagger-crf"), [["a"]], part="x"), "part: expected one of stack"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_mistakes_are_told_in_a_line(number):
    call, said = WRONG[number]
    with pytest.raises(InputError, match=said):
        call()
