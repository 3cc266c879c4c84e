"""Sampling, against distributions worked out in the plain way: sorted lists of fractions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generate.toys import Table, letters
from recurra.errors import InputError
from recurra.generate import Options, generate
from recurra.generate.sampling import Edits, Sampler, largest, nucleus, ranked

LOGITS = [1.3, -0.4, 2.1, 0.0, -2.5, 0.9, 0.8, -1.1]
LAST = 1 - 2**-53  # the largest number that a generator draws


def expected(logits, *, temperature=1.0, top_k=None, top_p=None, penalty=1.0, seen=(), banned=()):
    """The distribution, token by token and in the order of the definition."""
    z = [float(x) for x in logits]
    for id in set(seen):
        z[id] = z[id] / penalty if z[id] > 0 else z[id] * penalty
    for id in banned:
        z[id] = -math.inf
    z = [x / temperature for x in z]
    order = sorted(range(len(z)), key=lambda id: (-z[id], id))[:top_k]
    p = {id: math.exp(z[id] - max(z)) for id in order}
    total = sum(p.values())
    p = {id: x / total for id, x in p.items()}
    kept, mass = {}, 0.0
    for id, x in p.items():
        if top_p is not None and mass >= top_p:
            break
        kept[id] = x
        mass += x
    return np.array([kept.get(id, 0.0) / mass for id in range(len(z))])


def drawn(logits, uniform, *, seen=None, banned=(), **fields):
    options = Options(**fields)
    sampler = Sampler(options, Edits(options, banned), len(logits))
    return sampler.choose(np.array(logits, dtype=np.float32), seen, uniform)[0]


def shares(logits, *, steps=4000, **fields):
    """The distribution that evenly spaced draws show, to 1/steps a token."""
    ids = [drawn(logits, (n + 0.5) / steps, **fields) for n in range(steps)]
    return np.bincount(ids, minlength=len(logits)) / steps


CASES = [
    {},
    {"temperature": 0.5},
    {"temperature": 3.0},
    {"top_k": 1},
    {"top_k": 3},
    {"top_k": 8},
    {"top_p": 0.1},
    {"top_p": 0.6},
    {"top_p": 0.95},
    {"top_p": 1.0},
    {"temperature": 0.7, "top_k": 5, "top_p": 0.8},
    {"temperature": 2.0, "top_k": 4, "top_p": 0.5},
]


@pytest.mark.parametrize("fields", CASES, ids=str)
def test_frequencies(fields):
    """Chi-square of 20,000 tokens, as generate() draws them."""
    model = Table(LOGITS)  # the same distribution at each step
    options = Options(max_tokens=20_000, seed=20, **fields)
    (result,) = generate(model, letters(8), ["a"], options)
    p = expected(np.float32(LOGITS), **fields)
    count = np.bincount(result.ids, minlength=8)
    assert count[p == 0].sum() == 0
    if (p > 0).sum() > 1:
        assert chisquare(count[p > 0], 20_000 * p[p > 0]).pvalue > 1e-3


@pytest.mark.parametrize("fields", CASES, ids=str)
def test_shares(fields):
    p = expected(np.float32(LOGITS), **fields)
    np.testing.assert_allclose(shares(LOGITS, **fields), p, atol=1e-3)


def test_penalty_and_ban_come_before_the_filters():
    seen = np.isin(np.arange(8), [2, 1, 0])
    fields = {"temperature": 0.7, "top_k": 4, "top_p": 0.9}
    p = expected(np.float32(LOGITS), penalty=1.8, seen=[2, 1, 0], banned=[5], **fields)
    got = shares(LOGITS, seen=seen, banned=(5,), repetition_penalty=1.8, **fields)
    np.testing.assert_allclose(got, p, atol=1e-3)
    assert got[5] == 0


EXTREME = [
    ([1e30, 0.0, -1e30], {}, 0),
    ([-1e30, -1e30, -3e38], {"top_k": 2}, 1),
    ([700.0, -700.0], {"temperature": 1e-6}, 0),
    ([-700.0, 700.0], {"temperature": 1e-6, "top_p": 0.5}, 1),
    ([1.0, -np.inf, -np.inf], {"top_k": 3}, 0),
    ([1.0, 1.0, -np.inf], {"top_p": 0.999}, 1),
    ([-np.inf, 0.0, -np.inf], {}, 1),
]


@pytest.mark.parametrize(("logits", "fields", "last"), EXTREME, ids=str)
def test_extremes(logits, fields, last):
    """No overflow, and the last draw is never a token without probability."""
    assert drawn(logits, LAST, **fields) == last
    assert logits[drawn(logits, 0.0, **fields)] == max(logits)


@given(st.integers(1, 40), st.floats(0, LAST), st.integers(0, 2**32))
def test_a_draw_has_probability(count, uniform, seed):
    logits = np.random.default_rng(seed).normal(size=count) * 20
    logits[np.random.default_rng(seed).random(count) < 0.3] = -np.inf
    logits[seed % count] = 0
    assert logits[drawn(logits, uniform)] > -np.inf


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf]], ids=str)
@pytest.mark.parametrize("fields", [{}, {"temperature": 0}, {"beams": 2}], ids=str)
def test_logits_that_are_not_finite(bad, fields):
    with pytest.raises(InputError, match=r"expected finite logits from the model, received"):
        generate(Table(bad), letters(2), ["a"], Options(**fields))


TIES = st.lists(st.sampled_from([0.0, 1.0, 2.0, -math.inf]), min_size=1, max_size=12)


@given(TIES, st.integers(1, 12))
def test_largest(values, k):
    order = sorted(range(len(values)), key=lambda id: (-values[id], id))[:k]
    assert ranked(np.array(values), k).tolist() == order
    assert largest(np.array(values), k).tolist() == sorted(order)


@settings(max_examples=300)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any), st.integers(1, 63))
def test_nucleus(weights, share):
    """In whole numbers and 64ths, so that the comparison of masses is exact."""
    order = sorted(range(len(weights)), key=lambda id: (-weights[id], id))
    size = next(
        n
        for n in range(1, len(weights) + 1)
        if 64 * sum(weights[id] for id in order[:n]) >= share * sum(weights)
    )
    assert nucleus(np.array(weights, dtype=np.float64), share / 64).tolist() == order[:size]


def test_greedy_takes_the_lowest_of_equals():
    (result,) = generate(
        Table([0.0, 3.0, 3.0, 1.0]), letters(4), ["a"], Options(temperature=0, max_tokens=3)
    )
    assert result.ids == (1, 1, 1)


def test_repetition_penalty_sees_prompt_and_text():
    """Equal logits: greedy goes through the tokens that are not there yet, in order."""
    model = Table([1.0] * 6)
    options = Options(temperature=0, max_tokens=5, repetition_penalty=2.0)
    results = generate(model, letters(6), ["ac", "d"], options)
    assert [r.ids for r in results] == [(1, 3, 4, 5, 0), (0, 1, 2, 4, 5)]
    negative = generate(Table([-1.0] * 6), letters(6), ["ac", "d"], options)
    assert [r.ids for r in negative] == [r.ids for r in results]


@pytest.mark.parametrize("fields", [{}, {"temperature": 0}, {"beams": 3}], ids=str)
def test_unknown_is_never_generated(fields):
    tokenizer = letters(4, unk="b")
    (result,) = generate(
        Table([0.0, 9.0, 0.0, 0.0]), tokenizer, ["b"], Options(max_tokens=50, seed=1, **fields)
    )
    assert 1 not in result.ids
    assert result.logprobs[0] == pytest.approx(-9.0, abs=1e-3)  # the model's own, <unk> included
    only_unknown = Table([-np.inf, 0.0, -np.inf, -np.inf])
    with pytest.raises(InputError, match="gives it none"):
        generate(only_unknown, tokenizer, ["a"], Options(seed=1, **fields))
