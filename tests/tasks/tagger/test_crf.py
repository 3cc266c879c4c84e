"""The CRF against the list of all sequences of tags, its slow twin, and the chain of numpy."""

from itertools import product

import numpy as np
import pytest
import torch

from recurra.errors import InputError
from recurra.tasks.tagger.crf import CRF, FORBIDDEN, log_partition, log_partition_by_steps
from recurra.tasks.tagger.viterbi import Chain


def draw(rng):
    """A small CRF with drawn weights; eight sentences, with any pattern of words that count."""
    tags, batch, steps = int(rng.integers(1, 4)), 8, int(rng.integers(1, 5))
    allowed = torch.ones(tags + 2, tags + 2, dtype=torch.bool)
    if rng.random() < 0.4:
        allowed[1:tags, 1:tags] = torch.from_numpy(rng.random((tags, tags)) < 0.5)[1:, 1:]
    crf = CRF(tags, allowed=allowed).double()
    with torch.no_grad():
        for weight in crf.parameters():
            weight.copy_(torch.from_numpy(rng.normal(0, 1.5, weight.shape)))
    emissions = torch.from_numpy(rng.normal(0, 1.5, (batch, steps, tags))).requires_grad_()
    y = torch.from_numpy(rng.integers(0, tags, (batch, steps)))
    mask = torch.from_numpy(rng.random((batch, steps)) < 0.7) if rng.random() < 0.7 else None
    return crf, emissions, y, mask


def enumerated(crf, emissions, tags, mask):
    """ln P by the list of all sequences, and autograd through it."""
    steps, k, found = crf.steps(), crf.tags, []
    mask = torch.ones_like(tags, dtype=torch.bool) if mask is None else mask
    for row, y, counts in zip(emissions, tags, mask, strict=True):
        row, y = row[counts], y[counts].tolist()
        if not y:
            found.append(row.sum())
            continue
        paths = torch.tensor(list(product(range(k), repeat=len(y))))
        ways = torch.nn.functional.pad(paths, (1, 0), value=k)
        ways = torch.nn.functional.pad(ways, (0, 1), value=k + 1)
        scores = steps[ways[:, :-1], ways[:, 1:]].sum(1) + row[range(len(y)), paths].sum(1)
        wanted = (paths == torch.tensor(y)).all(1)
        found.append(scores[wanted].squeeze(0) - torch.logsumexp(scores, 0))
    return torch.stack(found)


def gradients(found, weights):
    """Of a sum in which each sentence weighs differently."""
    scale = torch.arange(1, len(found) + 1, dtype=found.dtype)
    return torch.autograd.grad((found * scale).sum(), weights, materialize_grads=True)


def test_likelihood_and_gradients_are_those_of_all_sequences():
    rng = np.random.default_rng(11)
    forbidden = 0
    for _ in range(250):
        crf, emissions, y, mask = draw(rng)
        weights = [emissions, *crf.parameters()]
        found, expected = crf(emissions, y, mask=mask), enumerated(crf, emissions, y, mask)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        forbidden += bool((found < FORBIDDEN / 2).any())
        ours, theirs = gradients(found, weights), gradients(expected, weights)
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)
    assert forbidden > 20


@pytest.mark.parametrize("holes", [False, True])
def test_the_twins_agree(holes):
    torch.manual_seed(2)
    crf = CRF(17).double()
    for weight in crf.parameters():
        torch.nn.init.normal_(weight, std=2)
    emissions = torch.randn(8, 40, 17, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([40, 1, 0, 39, 5, 40, 12, 20])
    mask = torch.arange(40) < lengths[:, None]
    mask = torch.rand(8, 40) < 0.6 if holes else mask
    weights = [emissions, *crf.parameters()]
    fast, slow = (f(emissions, crf.steps(), mask) for f in (log_partition, log_partition_by_steps))
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-10)
    ours, theirs = gradients(fast, weights), gradients(slow, weights)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_the_sum_is_that_of_the_chain_without_torch():
    torch.manual_seed(3)
    crf = CRF(5)
    for weight in crf.parameters():
        torch.nn.init.normal_(weight)
    chain = Chain(*(w.detach().numpy() for w in (crf.start, crf.transitions, crf.end)))
    emissions = torch.randn(1, 30, 5)
    path = chain.best(emissions[0].numpy())
    expected = path.score - chain.log_partition(emissions[0].numpy())
    found = crf(emissions, torch.tensor([path.tags]))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_scores_beyond_all_measure_are_left_to_the_twin():
    """Tags that contradict by thousands: no probability is left between, and yet it is exact."""
    crf = CRF(2).double()
    with torch.no_grad():
        crf.transitions.copy_(torch.tensor([[0.0, -3000.0], [-3000.0, 0.0]]))
    emissions = torch.zeros(1, 4, 2, dtype=torch.float64)
    emissions[0, 0, 0], emissions[0, -1, 1] = 2000.0, 2000.0
    emissions.requires_grad_()
    y = torch.tensor([[0, 0, 0, 0]])
    found = crf(emissions, y)
    assert found.item() == pytest.approx(-np.log(2.0))  # as good as all 1
    (gradient,) = torch.autograd.grad(found.sum(), emissions)
    torch.testing.assert_close(gradient[0, :, 0], torch.full((4,), 0.5, dtype=torch.float64))


def test_what_is_padding_is_not_read():
    torch.manual_seed(4)
    crf, y = CRF(3), torch.tensor([[0, 1, 2], [2, 1, 0]])
    emissions = torch.randn(2, 3, 3)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    before = crf(emissions, y, mask=mask)
    emissions[0, 2], y[0, 2] = 1e30, 0
    torch.testing.assert_close(crf(emissions, y, mask=mask), before, rtol=0, atol=0)
    alone = crf(emissions[:1, :2], y[:1, :2])
    torch.testing.assert_close(alone, before[:1])


@pytest.mark.parametrize(
    ("shape", "tags", "mask", "told"),
    [
        ((2, 3, 4), (2, 3), None, "expected emissions (B, T, 5) and tags (B, T), received (2, 3,"),
        ((2, 3, 5), (3, 2), None, "received (2, 3, 5) and (3, 2)"),
        ((2, 3, 5), (2, 3), (3,), "expected a mask of shape (2, 3), received (3,)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape, tags, mask, told):
    mask = None if mask is None else torch.ones(mask, dtype=torch.bool)
    with pytest.raises(InputError) as error:
        CRF(5)(torch.zeros(shape), torch.zeros(tags, dtype=torch.long), mask=mask)
    assert told in str(error.value)
    with pytest.raises(InputError, match="allowed steps of shape"):
        CRF(5, allowed=torch.ones(5, 5, dtype=torch.bool))
