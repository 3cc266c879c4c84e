"""Prompts read in one call, in slices and step by step: the same logits and states, to the bit."""

import numpy as np
import pytest

from generate.toys import letters
from recurra.generate import Options, generate
from recurra.tasks.language_model import runtime
from runtime.models import ROWS, V

LENGTHS = (1, 31, 32, 33, 64, 70, 70, 5)


@pytest.fixture(params=["as it is", "short slices"], autouse=True)
def slices(request, monkeypatch):
    if request.param == "short slices":
        monkeypatch.setattr(runtime, "_SLICE", 4)
        monkeypatch.setattr(runtime, "_TOKENS", 8)


def stepped(model, ids, lengths):
    """Of each row the logits and the state after its last token, read alone and token by token."""
    logits, ends = [], []
    for row, length in enumerate(lengths):
        state = model.start(1)
        for id in ids[row, :length]:
            found, state = model.step(np.array([id]), state)
        logits.append(found)
        ends.append(state)
    return np.concatenate(logits), model.join(ends)


def same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    for ours, theirs in zip(found[1], expected[1], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_however_it_is_read(row):
    _, model = row.both()
    ids = np.random.default_rng(3).integers(0, V, (len(LENGTHS), max(LENGTHS)))
    expected = stepped(model, ids, LENGTHS)
    same(model.read(ids, np.array(LENGTHS), model.start(len(ids))), expected)
    whole = model.read(ids[5:7], None, model.start(2))
    same(whole, (expected[0][5:7], model.select(expected[1], np.array([5, 6]))))
    state = model.start(2)
    for first in range(0, 70, 32):
        logits, state = model.read(ids[5:7, first : first + 32], None, state)
    same((logits, state), whole)


@pytest.mark.parametrize("row", ROWS[::5], ids=str)
def test_a_state_that_was_read_from_stays_as_it_was(row):
    _, model = row.both()
    ids = np.random.default_rng(3).integers(0, V, (3, 70))
    _, state = model.read(ids, None, model.start(3))
    copies = [[s.copy() for s in layer] for layer in state]
    model.read(ids, np.array([70, 2, 40]), state)
    model.step(ids[:, 0], state)
    for layer, copy in zip(state, copies, strict=True):
        for s, c in zip(layer, copy, strict=True):
            np.testing.assert_array_equal(s, c)


def test_tokens_and_lengths_beyond_the_ends_are_refused():
    _, model = ROWS[0].both()
    for ids in ([[0, V]], [[0, -1]]):
        with pytest.raises(IndexError, match=f"expected tokens below {V}"):
            model.read(np.array(ids), None, model.start(1))
        with pytest.raises(IndexError, match=f"expected tokens below {V}"):
            model.step(np.array(ids[0][1:]), model.start(1))
    with pytest.raises(IndexError):
        model.read(np.zeros((1, 0), np.int64), None, model.start(1))
    with pytest.raises(IndexError):
        model.read(np.zeros((1, 3), np.int64), np.array([4]), model.start(1))


@pytest.mark.parametrize("row", ROWS[::5], ids=str)
def test_prompts_of_a_call_have_the_texts_they_have_alone(row):
    _, model = row.both()
    tokens, options = letters(V), Options(max_tokens=30, temperature=0)
    prompts = ["abcdefghij"[: n % 10 + 1] * (1 + n % 9) for n in range(20)]
    together = generate(model, tokens, prompts, options)
    for prompt, text in zip(prompts, together, strict=True):
        (alone,) = generate(model, tokens, [prompt], options)
        assert (text.ids, text.logprobs) == (alone.ids, alone.logprobs)
