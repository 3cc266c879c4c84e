"""Weights go from Keras' layout to ours and back without a bit changed, and compute the same."""

import keras
import numpy as np
import pytest
import torch

from recurra import ops
from recurra.cells import gru, lstm, rnn
from recurra.errors import InputError
from recurra.keras.layout import from_keras, shapes, to_keras
from tolerances import assert_close

CASES = [
    (keras.layers.SimpleRNN, {}, rnn.program()),
    (keras.layers.SimpleRNN, {"use_bias": False}, rnn.program(bias=False)),
    (keras.layers.LSTM, {}, lstm.program()),
    (keras.layers.LSTM, {"use_bias": False}, lstm.program(bias=False)),
    (keras.layers.GRU, {}, gru.program()),
    (keras.layers.GRU, {"use_bias": False}, gru.program(bias=False)),
    (keras.layers.GRU, {"reset_after": False}, gru.program(reset="before")),
]


@pytest.fixture(params=CASES, ids=lambda c: f"{c[0].__name__}-{c[1]}")
def case(request):
    make, options, program = request.param
    layer = make(5, bias_initializer="normal", return_sequences=True, **options)
    layer.build((2, 4, 3))
    return layer, program


def test_there_and_back(case):
    layer, program = case
    weights = layer.get_weights()
    assert [w.shape for w in weights] == shapes(program, 3, 5)
    back = to_keras(program, from_keras(program, weights))
    assert len(back) == len(weights)
    assert all((a == b).all() and a.shape == b.shape for a, b in zip(back, weights, strict=True))


def test_ours_compute_what_keras_computes(case):
    layer, program = case
    x = torch.randn(2, 4, 3)
    parameters = from_keras(program, layer.get_weights())
    weights = [torch.from_numpy(parameters[p.name].copy()) for p in program.parameters]
    call = ops.Call(ops.program_name(program), x.transpose(0, 1), weights)
    assert_close(ops.run_reference(call)[0].transpose(0, 1), layer(x).detach(), "outputs")


def test_two_biases_of_ours_that_keras_has_one_for_are_added():
    program = lstm.program()
    numbers = np.random.default_rng(0)
    ours = {
        p.name: numbers.normal(size=p.shape(gates=4, inputs=3, hidden=5))
        for p in program.parameters
    }
    _, _, bias = to_keras(program, ours)
    assert (bias == ours["bias_ih"] + ours["bias_hh"]).all()


def test_gradients_flow_through():
    program = gru.program()
    weights = [torch.randn(s, requires_grad=True) for s in shapes(program, 3, 5)]
    loss = sum((p * k).sum() for k, p in enumerate(from_keras(program, weights).values(), 1))
    for gradient in torch.autograd.grad(loss, weights):
        assert (gradient != 0).all()


@pytest.mark.parametrize(
    ("program", "received", "message"),
    [
        (lstm.program(), [(3, 20), (5, 20)], r"expected .*bias.*\(3, 20\), \(5, 20\), \(20,\)\)"),
        (lstm.program(), [(3, 20), (5, 15), (20,)], r"received \(3, 20\), \(5, 15\), \(20,\)"),
        (gru.program(), [(3, 15), (5, 15), (15,)], r"\(2, 15\)\), received"),
        (rnn.program(bias=False), [(3, 5), (5, 5), (5,)], "and no bias"),
        (rnn.program(), [], "received nothing"),
        (lstm.program(peephole=True), [(3, 20), (5, 20)], "received lstm with peephole"),
    ],
)
def test_other_shapes_are_refused(program, received, message):
    with pytest.raises(InputError, match=message):
        from_keras(program, [np.zeros(s) for s in received])
