"""What does not fit is refused with what was expected and what was received."""

import keras
import numpy as np
import pytest
import torch

import recurra.keras
from recurra.errors import InputError

X = np.zeros((2, 5, 3), "float32")
MASK, SHORT = torch.ones(2, 5, dtype=torch.bool), torch.ones(2, 4, dtype=torch.bool)
WRONG_CALLS = {
    "features": ({"sequences": X[..., :2]}, r"expected sequences \(B, T, 3\).*\(2, 5, 2\)"),
    "steps": ({"sequences": X[:, :0]}, r"of one step or more, received \(2, 0, 3\)"),
    "mask": ({"mask": SHORT}, r"expected a mask of shape \(2, 5\).*received \(2, 4\)"),
    "mask of one row": ({"mask": MASK[:1]}, r"mask of shape \(2, 5\).*received \(1, 5\)"),
    "state's units": (
        {"initial_state": [torch.zeros(2, 3)] * 2},
        r"initial states of shape \(2, 4\), \(2, 4\), received \(2, 3\), \(2, 3\)",
    ),
    "a state too few": (
        {"initial_state": [torch.zeros(2, 4)]},
        r"initial states of shape \(2, 4\), \(2, 4\), received \(2, 4\)",
    ),
    "a state of one row": (
        {"initial_state": [torch.zeros(1, 4)] * 2},
        r"initial states of shape \(2, 4\).*received \(1, 4\)",
    ),
}


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("what", WRONG_CALLS)
def test_a_call(what, stateful):
    layer = recurra.keras.LSTM(4, stateful=stateful)
    layer(X)
    given, message = WRONG_CALLS[what]
    with pytest.raises(InputError, match=message):
        layer(**({"sequences": X} | given))


def test_a_layout_without_time():
    with pytest.raises(ValueError, match=r"expected ndim=3, found ndim=2"):
        recurra.keras.GRU(4)(X[0])


@pytest.mark.parametrize("kind", recurra.keras.__all__)
def test_an_argument_there_is_not(kind):
    with pytest.raises(ValueError, match="peephole"):
        getattr(recurra.keras, kind)(4, peephole=True)
    with pytest.raises(ValueError, match="positive integer, got 0"):
        getattr(recurra.keras, kind)(0)


def test_weights_of_another_shape():
    layer = recurra.keras.GRU(4)
    layer(X)
    with pytest.raises(ValueError, match=r"\(3, 12\).*\(3, 16\)"):
        layer.set_weights([np.zeros((3, 16)), np.zeros((4, 16)), np.zeros((2, 16))])


def test_a_cell():
    cell = recurra.keras.LSTMCell(4)
    cell.build((2, 3))
    with pytest.raises(InputError, match=r"received float32 .*\(2, 3\)"):
        cell(X[:, 0], [torch.zeros(2, 3)] * 2)
    assert isinstance(cell, keras.layers.LSTMCell)
