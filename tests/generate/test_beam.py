"""Beam search, against the enumeration of every text of a tiny model."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generate.toys import Table, Tanh, Tokens, every_text, letters
from recurra.generate import Options, generate
from recurra.generate.beam import _Search

ALPHAS = [0.0, 0.6, 1.0, 2.0]


def best_texts(model, before, alpha, n, **fields):
    """The n best of all texts: (score, ids), best first."""
    scored = [
        (total / len(ids) ** alpha, ids) for ids, total in every_text(model, before, **fields)
    ]
    return sorted(scored, reverse=True)[:n]


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(
    ("V", "max_tokens", "eos"), [(2, 5, None), (3, 5, 2), (4, 4, 0), (5, 4, 4)]
)
def test_exact_where_the_beam_holds_all(alpha, V, max_tokens, eos):
    """As many beams as there are texts: the n best are the n best there are."""
    tokenizer = letters(V, eos=None if eos is None else "abcde"[eos])
    for seed in range(3):
        model = Tanh(V, seed=seed)  # of whose texts no two have equal scores
        options = Options(
            beams=V**max_tokens, n_best=6, length_penalty=alpha, max_tokens=max_tokens
        )
        (best,) = generate(model, tokenizer, ["ab"], options)
        found = [best, *best.others]
        judge = best_texts(model, [0, 1], alpha, 6, max_tokens=max_tokens, eos=eos)
        assert [g.ids for g in found] == [ids for _, ids in judge]
        assert [g.score for g in found] == pytest.approx([score for score, _ in judge], abs=1e-6)
        for g in found:
            assert g.stop_reason == ("eos" if g.ids[-1] == eos else "length")
            assert sum(g.logprobs) / len(g.ids) ** alpha == pytest.approx(g.score, abs=1e-9)


def test_exact_with_stop_strings():
    tokenizer = Tokens(["a", "b", "ab", "c"])
    model = Tanh(4, seed=5)

    def ends(ids):
        text = "".join(tokenizer.token(id) for id in ids)
        return "ba" in text or "cc" in text

    options = Options(beams=4**5, n_best=9, length_penalty=2, max_tokens=5, stop=["ba", "cc"])
    (best,) = generate(model, tokenizer, ["a"], options)
    judge = best_texts(model, [0], 2.0, 9, max_tokens=5, ends=ends)
    assert [g.ids for g in (best, *best.others)] == [ids for _, ids in judge]
    assert {g.stop_reason for g in (best, *best.others)} == {"stop", "length"}


def plain_beam_search(model, before, K, alpha, n_best, *, max_tokens, eos):
    """The definition in lists, which always goes on to max_tokens."""
    beams, finished = [(0.0, ())], []
    for length in range(1, max_tokens + 1):
        longer = [
            (total + logprob, (*ids, id))
            for total, ids in beams
            for id, logprob in enumerate(model.log_probabilities([*before, *ids]))
        ]
        longer.sort(key=lambda pair: -pair[0])
        beams = []
        for total, ids in longer[: 2 * K]:
            if len(beams) == K:
                break
            if ids[-1] == eos or length == max_tokens:
                finished.append((total / length**alpha, ids))
            else:
                beams.append((total, ids))
    return [ids for _, ids in sorted(finished, key=lambda pair: -pair[0])[:n_best]]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(2, 5),
    st.integers(2, 6),
    st.sampled_from(ALPHAS),
    st.integers(0, 10**6),
    st.integers(1, 9),
)
def test_narrow_beams_and_early_end(V, K, alpha, seed, max_tokens):
    """Ending as soon as no beam can win gives what the search to the end gives."""
    model = Tanh(V, seed=seed)
    n_best = 1 + seed % K
    options = Options(beams=K, n_best=n_best, length_penalty=alpha, max_tokens=max_tokens)
    (best,) = generate(model, letters(V, eos="b"), ["a"], options)
    judge = plain_beam_search(model, [0], K, alpha, n_best, max_tokens=max_tokens, eos=1)
    assert [g.ids for g in (best, *best.others)] == judge
    if V**max_tokens <= 4**5:
        optimum, _ = best_texts(model, [0], alpha, 1, max_tokens=max_tokens, eos=1)[0]
        assert best.score <= optimum + 1e-6


def test_ends_as_soon_as_nothing_can_win():
    """p(eos) = 0.9: with the sum, or with few tokens to come, the first end has won."""
    model = Table.of([0.05, 0.05, 0.9])
    for alpha, max_tokens, reads in [(0.0, 50, 1), (1.0, 2, 1), (1.0, 10, 1)]:
        model.calls.clear()
        options = Options(beams=2, length_penalty=alpha, max_tokens=max_tokens)
        (best,) = generate(model, letters(3, eos="c"), ["a"], options)
        assert (best.ids, len(model.calls)) == ((2,), reads)
    # With the mean, a beam of total log 0.05 could still reach -3.0 / 50 > log 0.9.
    model.calls.clear()
    generate(model, letters(3, eos="c"), ["a"], Options(beams=2, max_tokens=50))
    assert len(model.calls) > 1


@pytest.mark.parametrize("model", [Table.random(6, 3, seed=8), Tanh(6, seed=8)])
@pytest.mark.parametrize("fields", [{}, {"stop": ["ab"]}, {"repetition_penalty": 1.4}], ids=str)
def test_one_beam_is_greedy(model, fields):
    tokenizer = letters(6, eos="f")
    prompts = ["a", "bc", "eddea", ""]
    one = generate(model, tokenizer, prompts, Options(beams=1, max_tokens=30, **fields))
    greedy = generate(model, tokenizer, prompts, Options(temperature=0, max_tokens=30, **fields))
    assert [g.to_dict() for g in one] == [g.to_dict() for g in greedy]


@pytest.mark.parametrize("fields", [{}, {"repetition_penalty": 1.4}], ids=str)
def test_the_search_of_width_one_is_greedy(fields):
    """The search itself, which generate() leaves to the greedy loop."""
    from recurra.generate.plan import Plan, parse_prompts, read_prompts

    model, tokenizer = Table.random(6, 3, seed=8), letters(6)
    plan = Plan(model, tokenizer, Options(beams=1, max_tokens=30, **fields))
    prompts = parse_prompts(tokenizer, ["abc"], None)
    (searched,) = _Search(plan, prompts[0]).run(*read_prompts(plan, prompts))
    (greedy,) = generate(model, tokenizer, ["abc"], plan.options)
    assert searched.ids == greedy.ids
    assert searched.logprobs == pytest.approx(greedy.logprobs)


def test_scores_with_a_repetition_penalty():
    """The search counts the penalised distribution; logprobs stay the model's own."""
    model = Table([1.0, 0.5, 0.25])
    options = Options(beams=9, max_tokens=2, repetition_penalty=2.0, length_penalty=0)
    (best,) = generate(model, letters(3), ["a"], options)

    def log_softmax(z, id):
        return z[id] - math.log(sum(math.exp(x) for x in z))

    totals = {}
    for first in range(3):
        for second in range(3):
            z1 = [0.5, 0.5, 0.25]
            z2 = [z / 2 if id in (0, first) else z for id, z in enumerate([1.0, 0.5, 0.25])]
            totals[first, second] = log_softmax(z1, first) + log_softmax(z2, second)
    assert best.ids in [ids for ids, total in totals.items() if total > max(totals.values()) - 1e-9]
    assert best.score == pytest.approx(max(totals.values()), abs=1e-6)
    own = [log_softmax([1.0, 0.5, 0.25], id) for id in best.ids]
    assert best.logprobs == pytest.approx(own, abs=1e-6)


def test_fewer_texts_than_asked_for():
    options = Options(beams=10, n_best=10, max_tokens=2)
    (best,) = generate(Table([0.0, 1.0]), letters(2), ["a"], options)
    assert sorted(g.ids for g in (best, *best.others)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_dead_end_is_left():
    """A beam after which only <unk> may follow is given up; the others go on."""
    table = np.full((4, 3), -np.inf)
    table[3] = table[1] = [0, -1, -np.inf]  # a or b
    table[0] = [-np.inf, -np.inf, 0]  # after a: only <unk>
    model, tokenizer = Table(table), letters(3, unk="c")
    (best,) = generate(model, tokenizer, ["b"], Options(beams=3, max_tokens=4))
    assert best.ids == (1, 1, 1, 0)


def test_alternatives_belong_to_their_step():
    model = Table.random(5, 3, seed=2)
    options = Options(beams=4, n_best=4, max_tokens=6, logprobs=2)
    (best,) = generate(model, letters(5, eos="e"), ["ab"], options)
    for g in (best, *best.others):
        for n, (id, logprob, top) in enumerate(zip(g.ids, g.logprobs, g.top, strict=True)):
            judge = model.log_probabilities([0, 1, *g.ids[:n]])
            assert logprob == pytest.approx(judge[id], abs=1e-6)
            assert [choice.id for choice in top] == np.argsort(-judge)[:2].tolist()
