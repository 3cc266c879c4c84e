"""Weights of one model as the beginning of another."""

import numpy as np
import pytest
import torch
from torch import nn

from recurra.errors import FormatError
from recurra.train.transfer import carry_over


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def test_what_has_the_name_is_copied_and_nothing_else():
    module, given = net(), np.arange(12, dtype=np.float32).reshape(4, 3)
    carry_over(module, {"0.weight": given}, where="a model")
    np.testing.assert_array_equal(module[0].weight.detach(), given)
    for name, tensor in net().state_dict().items():
        if name != "0.weight":
            torch.testing.assert_close(module.state_dict()[name], tensor, rtol=0, atol=0)
    given += 1  # a copy
    assert module[0].weight[0, 0] == 0
    assert module[0].weight.requires_grad


@pytest.mark.parametrize("tensors", [{"0.weights": (4, 3)}, {"0.weight": (3, 4)}])
def test_what_does_not_fit_is_refused_whole(tensors):
    module = net()
    given = {name: np.zeros(shape, np.float32) for name, shape in tensors.items()}
    with pytest.raises(FormatError, match=r"runs/lm: expected weights .* found others: 0"):
        carry_over(module, {**given, "1.bias": np.ones(2, np.float32)}, where="runs/lm")
    torch.testing.assert_close(module.state_dict(), net().state_dict(), rtol=0, atol=0)
