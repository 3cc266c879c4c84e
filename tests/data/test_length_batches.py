"""Every example once an epoch, similar lengths together, the same on every rank's count."""

import numpy as np
import pytest

from recurra.data import LengthBatches
from recurra.errors import InputError

LENGTHS = np.random.default_rng(0).integers(0, 90, 1003)


def indices(batches) -> list[int]:
    return [int(i) for batch in batches for i in batch.indices[: batch.count]]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("budget", [None, 300, 5000])
@pytest.mark.parametrize("batch", [1, 30, 2000])
def test_every_example_comes_once(batch, budget, shuffle):
    batches = LengthBatches(LENGTHS, batch=batch, budget=budget, shuffle=shuffle)
    assert sorted(indices(batches)) == list(range(len(LENGTHS)))
    assert max(len(b.indices) for b in batches) <= batch
    if not shuffle:
        assert indices(batches) == list(range(len(LENGTHS)))


def test_a_budget_bounds_the_steps_of_a_batch():
    for batch in LengthBatches(LENGTHS, batch=64, budget=800):
        assert LENGTHS[batch.indices].max() * len(batch.indices) <= 800


def test_a_batch_has_similar_lengths():
    spans = [np.ptp(LENGTHS[b.indices]) for b in LengthBatches(LENGTHS, batch=16)]
    assert np.mean(spans) < 5  # of 90; 80 where batches are drawn at random


def test_each_epoch_has_its_own_order_and_the_same_again():
    def order(seed, epoch):
        return indices(LengthBatches(LENGTHS, batch=30, seed=seed, epoch=epoch))

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


@pytest.mark.parametrize("budget", [None, 400])
@pytest.mark.parametrize("world", [2, 3, 5])
def test_ranks_share_every_batch(world, budget):
    ranks = [
        LengthBatches(LENGTHS, batch=30, seed=3, budget=budget, rank=rank, world=world)
        for rank in range(world)
    ]
    assert sorted(i for batches in ranks for i in indices(batches)) == list(range(len(LENGTHS)))
    assert len({len(batches) for batches in ranks}) == 1
    for number in range(len(ranks[0])):
        assert len({len(batches[number].indices) for batches in ranks}) == 1


def test_slices_and_ends():
    batches = LengthBatches(LENGTHS, batch=30)
    assert [list(b.indices) for b in batches[2:4]] == [list(batches[i].indices) for i in (2, 3)]
    assert list(batches[-1].indices) == list(batches[len(batches) - 1].indices)
    with pytest.raises(IndexError):
        batches[len(batches)]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch": 0}, "batch=0"),
        ({"batch": 8, "budget": 0}, "budget=0"),
        ({"batch": 8, "seed": -1}, "seed=-1"),
        ({"batch": 7, "world": 2}, "cannot be divided among 2"),
    ],
)
def test_what_makes_no_batches_is_refused(settings, told):
    with pytest.raises(InputError, match=told):
        LengthBatches(LENGTHS, **settings)


def test_no_examples():
    with pytest.raises(InputError, match="received none"):
        LengthBatches([], batch=4)
