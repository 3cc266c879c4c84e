"""Chains of tags against the list of all of them."""

from itertools import pairwise, product

import numpy as np
import pytest

from recurra.tasks.tagger.viterbi import Chain, Path


def draw(rng):
    """A small chain, emissions, and all its sequences with their scores, best first."""
    tags, steps = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    sizes = (tags,), (tags, tags), (tags,)
    start, transitions, end = (rng.normal(0, 2, size) for size in sizes)
    if tags > 1 and rng.random() < 0.5:  # some steps are not allowed, of a way there is one left
        transitions[rng.random(transitions.shape) < 0.3] = -np.inf
        transitions[0, :] = transitions[:, 0] = 0.5
        start[1] = -np.inf
    emissions = rng.normal(0, 2, (steps, tags)).astype(np.float32)
    scores = {}
    for y in product(range(tags), repeat=steps):
        between = sum(transitions[a, b] for a, b in pairwise(y))
        inside = sum(float(emissions[t, tag]) for t, tag in enumerate(y))
        scores[y] = start[y[0]] + inside + between + end[y[-1]]
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return Chain(start, transitions, end), emissions, [(y, s) for y, s in ranked if s > -np.inf]


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(3)
    return [draw(rng) for _ in range(2000)]


def test_the_best_is_the_best_of_all(cases):
    for chain, emissions, ranked in cases:
        found = chain.best(emissions)
        assert found.tags == ranked[0][0]
        assert found.score == pytest.approx(ranked[0][1], abs=1e-10)
        assert chain.score(emissions, found.tags) == pytest.approx(found.score, abs=1e-10)


def test_the_n_best_are_the_n_best_of_all(cases):
    short = 0
    for chain, emissions, ranked in cases:
        for n in (1, 2, 7):
            found = chain.n_best(emissions, n)
            assert [path.tags for path in found] == [y for y, _ in ranked[:n]]
            expected = [score for _, score in ranked[:n]]
            np.testing.assert_allclose([path.score for path in found], expected, atol=1e-10)
            short += len(found) < n
    assert short > 50  # and where there are fewer, it is all of them


def test_sum_and_probabilities_are_those_of_all(cases):
    for chain, emissions, ranked in cases:
        scores = np.array([score for _, score in ranked])
        total = np.log(np.exp(scores - scores.max()).sum()) + scores.max()
        assert chain.log_partition(emissions) == pytest.approx(total, abs=1e-10)
        expected = np.zeros(emissions.shape)
        for y, score in ranked:
            expected[np.arange(len(y)), list(y)] += np.exp(score - total)
        np.testing.assert_allclose(chain.marginals(emissions), expected, atol=1e-10)


def test_a_free_chain_tags_each_word_for_itself():
    emissions = np.random.default_rng(0).normal(size=(50, 6))
    chain = Chain.free(6)
    assert chain.best(emissions).tags == tuple(emissions.argmax(1))
    softmax = np.exp(emissions) / np.exp(emissions).sum(1, keepdims=True)
    np.testing.assert_allclose(chain.marginals(emissions), softmax, atol=1e-12)


def test_no_words():
    chain, nothing = Chain.free(3), np.zeros((0, 3))
    assert chain.best(nothing) == Path(0.0, ())
    assert chain.n_best(nothing, 4) == [Path(0.0, ())]
    assert chain.log_partition(nothing) == chain.score(nothing, ()) == 0.0
    assert chain.marginals(nothing).shape == (0, 3)


def test_a_long_sentence_neither_underflows_nor_overflows():
    emissions = np.random.default_rng(0).normal(0, 50, (2000, 5))
    chain = Chain(np.zeros(5), np.random.default_rng(1).normal(0, 9, (5, 5)), np.zeros(5))
    assert chain.log_partition(emissions) >= chain.best(emissions).score
    np.testing.assert_allclose(chain.marginals(emissions).sum(1), 1)
