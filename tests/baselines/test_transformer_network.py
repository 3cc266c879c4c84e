"""The rival's encoder: shapes, masks, size."""

import math

import pytest
import torch

from recurra.baselines.transformer_network import (
    TransformerEncoder,
    positions,
    sizes_for,
    transformer_parameters,
)


def test_a_sequence_does_not_see_padding_or_its_neighbours():
    torch.manual_seed(0)
    module = TransformerEncoder(5, 16).eval()
    x = torch.randn(7, 4, 5)
    lengths = torch.tensor([7, 3, 1, 0])
    found, _ = module(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        assert (found[length:, row] == 0).all()
        if length:
            alone, _ = module(x[:length, row : row + 1])
            torch.testing.assert_close(found[:length, row], alone[:, 0], atol=1e-5, rtol=1e-5)
    assert torch.isfinite(found).all()
    # but every step sees every other, and knows where it stands
    swapped = x.clone()
    swapped[[0, 6], 0] = x[[6, 0], 0]
    other, _ = module(swapped, lengths=lengths)
    assert (other[3, 0] - found[3, 0]).abs().max() > 1e-3


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    module = TransformerEncoder(5, 16)
    y, _ = module(torch.randn(6, 3, 5), lengths=torch.tensor([6, 2, 0]))
    y.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name  # noqa: PT018


@pytest.mark.parametrize(
    ("inputs", "width", "layers", "units"), [(5, 16, 2, 64), (128, 64, 1, 100), (8, 20, 3, 7)]
)
def test_parameters_are_counted_right_and_sizes_are_found_for_them(inputs, width, layers, units):
    module = TransformerEncoder(inputs, width, layers, feedforward=units)
    count = sum(p.numel() for p in module.parameters())
    assert transformer_parameters(inputs, width, layers, units) == count
    for wanted in (count, 5_000, 200_000):
        wide, found = sizes_for(wanted, inputs, layers)
        assert wide % 4 == 0
        made = transformer_parameters(inputs, wide, layers, found)
        assert abs(made - wanted) <= layers * (2 * wide + 1) / 2 + 1
        assert 2 * wide < found < 6 * wide or wanted == count
    if units == 4 * width:
        assert sizes_for(count, inputs, layers) == (width, units)


def test_positions_by_hand():
    table = positions(4, 6)
    for t in range(4):
        for k in range(3):
            angle = t / 10_000 ** (2 * k / 6)
            assert table[t, 2 * k] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[t, 2 * k + 1] == pytest.approx(math.cos(angle), abs=1e-6)
