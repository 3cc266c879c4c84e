"""Pooling against loops over sequences, its numpy twin, and gradients that stay in bounds."""

import numpy as np
import pytest
import torch

from recurra.errors import InputError
from recurra.nn.pooling import POOLINGS, Pooling
from recurra.runtime import pooling as runtime
from recurra.runtime.architecture import Weights
from recurra.tasks.classifier.runtime import _pool

LENGTHS = [5, 1, 0, 3, 5]


def by_hand(kind, module, y, directions):
    """One sequence (T, F), all of it valid."""
    if not len(y):
        return torch.zeros(y.shape[1], dtype=y.dtype)
    if kind == "mean":
        return sum(y) / len(y)
    if kind == "max":
        return torch.stack([max(column) for column in y.T])
    if kind == "last":
        half = y.shape[1] // directions
        return torch.cat([y[-1, :half], y[0, half:]])
    scores = [module.context.weight[0] @ torch.tanh(module.inner(step)) for step in y]
    a = [s.exp() for s in scores]
    return sum(w / sum(a) * step for w, step in zip(a, y, strict=True))


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", POOLINGS)
def test_each_sequence_is_pooled_as_if_it_were_alone(kind, directions):
    torch.manual_seed(0)
    module = Pooling(kind, 6, directions=directions).double()
    outputs = torch.randn(5, len(LENGTHS), 6, dtype=torch.double)
    poisoned = outputs.clone()
    for row, length in enumerate(LENGTHS):
        poisoned[length:, row] = float("nan") if kind != "last" else 1e9
    found = module(poisoned, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        expected = by_hand(kind, module, outputs[:length, row], directions)
        torch.testing.assert_close(found[row], expected)
    whole = module(outputs)
    torch.testing.assert_close(whole, module(outputs, torch.full((len(LENGTHS),), 5)))


@pytest.mark.parametrize("kind", POOLINGS)
def test_no_gradient_reaches_the_padding(kind):
    torch.manual_seed(1)
    outputs = torch.randn(5, len(LENGTHS), 4, requires_grad=True)
    Pooling(kind, 4, directions=2)(outputs, torch.tensor(LENGTHS)).square().sum().backward()
    assert torch.isfinite(outputs.grad).all()
    for row, length in enumerate(LENGTHS):
        assert (outputs.grad[length:, row] == 0).all()
        assert length == 0 or outputs.grad[:length, row].abs().sum() > 0


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", POOLINGS)
def test_numpy_has_a_twin(kind, directions):
    torch.manual_seed(2)
    module = Pooling(kind, 6, directions=directions)
    outputs = torch.randn(5, len(LENGTHS), 6)
    state = {f"pool.{name}": value.numpy() for name, value in module.state_dict().items()}
    pool = _pool(kind, Weights(state), 6, directions)
    expected = module(outputs, torch.tensor(LENGTHS)).detach().numpy()
    before = outputs.numpy().copy()
    np.testing.assert_allclose(pool(outputs.numpy(), np.array(LENGTHS)), expected, atol=1e-6)
    assert (outputs.numpy() == before).all()


def test_no_steps_at_all():
    for kind in POOLINGS:
        assert (Pooling(kind, 3)(torch.empty(0, 2, 3)) == torch.zeros(2, 3)).all()
    assert runtime.mean(np.ones((1, 1, 2), np.float32), np.array([0])).tolist() == [[0, 0]]


def test_an_unknown_kind():
    with pytest.raises(InputError, match="last, mean, max, attention"):
        Pooling("sum", 3)
