"""Bias, penalties by count and min-p, against their definitions written out by hand."""

import numpy as np
import pytest

from generate.toys import Table, letters
from recurra.errors import InputError
from recurra.generate import Options, generate
from recurra.generate.sampling import Edits, Sampler

Z = np.array([1.5, -0.25, 0.75, 0.0, 2.0], dtype=np.float32)
COUNTS = np.array([3, 0, 1, 0, 2])
CASES = [
    {"min_p": 0.3},
    {"min_p": 0.05, "temperature": 0.5, "top_k": 4, "top_p": 0.95},
    {"logit_bias": {1: 3.0, 4: -100}},
    {"frequency_penalty": 0.7},
    {"presence_penalty": -1.1, "frequency_penalty": -0.2},
    {"logit_bias": {0: 1.0}, "presence_penalty": 0.5, "min_p": 0.2, "temperature": 1.3},
]


def distribution(options):
    """The probabilities (V,) of a step, by the definition."""
    z = Z.astype(np.float64)
    for id, added in (options.logit_bias or {}).items():
        z[id] += added
    z = z - options.frequency_penalty * COUNTS - options.presence_penalty * (COUNTS > 0)
    p = np.exp(z / options.temperature)
    if options.top_k:
        p[np.argsort(-p)[options.top_k :]] = 0
    if options.top_p:
        order = np.argsort(-p)
        mass = np.cumsum(p[order]) / p.sum()
        p[order[np.searchsorted(mass, options.top_p) + 1 :]] = 0
    p[p < options.min_p * p.max()] = 0
    return p / p.sum()


@pytest.mark.parametrize("fields", CASES, ids=str)
def test_shares_of_the_uniform_numbers_are_the_probabilities(fields):
    options = Options(**fields)
    options.validate(len(Z))
    sampler = Sampler(options, Edits(options, ()), len(Z))
    grid = (np.arange(4000) + 0.5) / 4000
    ids = [sampler.choose(Z, None, float(u), COUNTS)[0] for u in grid]
    shares = np.bincount(ids, minlength=len(Z)) / len(grid)
    np.testing.assert_allclose(shares, distribution(options), atol=1e-3)


@pytest.mark.parametrize("fields", [{"frequency_penalty": 0.9}, {"presence_penalty": 2.0}], ids=str)
def test_a_text_in_two_calls_is_the_one_of_one(fields):
    model, tokenizer = Table.random(6, 3, seed=3), letters(6)
    (whole,) = generate(model, tokenizer, ["abc"], Options(max_tokens=40, seed=2, **fields))
    (first,) = generate(model, tokenizer, ["abc"], Options(max_tokens=13, seed=2, **fields))
    assert first.state.written == ((3, 16),)
    (rest,) = generate(
        model, tokenizer, [""], Options(max_tokens=27, seed=2, **fields), state=first.state
    )
    assert first.ids + rest.ids == whole.ids
    assert rest.state.written == whole.state.written == ((3, 43),)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_p": 1.0}, r"min_p: expected a number in \[0, 1\), received 1.0"),
        ({"frequency_penalty": float("nan")}, "frequency_penalty: expected a finite number"),
        ({"logit_bias": {5: 1.0}}, r"logit_bias: expected finite numbers by id, 0\.\.4"),
        ({"logit_bias": {1: float("inf")}}, "logit_bias: expected finite numbers"),
        ({"beams": 2, "min_p": 0.5}, "min_p: expected no value with beams=2"),
    ],
    ids=str,
)
def test_wrong_values_are_named(fields, message):
    with pytest.raises(InputError, match=message):
        Options(**fields).validate(5)
