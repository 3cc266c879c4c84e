"""Means, quartiles and ratios, against values worked out by hand."""

import pytest

from bench.figures import geometric_mean, ratios, rounded, summary


@pytest.mark.parametrize(
    ("values", "mean"), [([2, 8], 4), ([4, 0.25], 1), ([3], 3), ([1, 10, 100], 10)]
)
def test_geometric_mean(values, mean):
    assert geometric_mean(values) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("value", "expected"), [(1234.56, 1235), (0.00123456, 0.001235), (2.0, 2.0)]
)
def test_rounded_keeps_four_digits(value, expected):
    assert rounded(value) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5, 1, 3, 2, 4], {"median": 3, "quartiles": [2, 4]}),
        ([7], {"median": 7, "quartiles": [7, 7]}),
    ],
)
def test_summary(values, expected):
    assert summary(values) == expected


def test_ratios_are_taken_round_by_round():
    # The machine was three times as slow in the second round: that is no part of the ratio.
    times = {"ours": [1.0, 3.0, 1.0], "theirs": [2.0, 6.0, 2.0], "third": [1.0, 9.0, 2.0]}
    found = ratios(times, "ours")
    assert found == {
        "theirs": {"median": 2, "quartiles": [2, 2]},
        "third": {"median": 2, "quartiles": [1.5, 2.5]},
    }
