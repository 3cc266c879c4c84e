"""The n-gram model beside a slow twin, toolkits' figures, and what probabilities must be."""

import itertools
import math

import numpy as np
import pytest

from baselines.language_model.ngram.slow import SlowKneserNey
from recurra.baselines.language_model.ngram import KneserNey, discounts
from recurra.errors import FormatError
from recurra.tasks.language_model.scores import stream_nats

V = 6


def text(length=400, seed=0):
    """Tokens in which what came before says something about what follows; 5 is the last token."""
    random = np.random.default_rng(seed)
    tokens = [V - 1]
    for _ in range(length - 2):
        drift = tokens[-1] * 2 + tokens[max(len(tokens) - 3, 0)]
        tokens.append(int((drift + random.choice(4, p=[0.6, 0.25, 0.1, 0.05])) % V))
    return np.array([*tokens, V - 1], np.uint8)


CASES = [
    (order, end, length, seed)
    for order, end in itertools.product((1, 2, 3, 5), (None, V - 1))
    for length, seed in ((400, 1), (60, 2), (8, 3))
]


@pytest.mark.parametrize(("order", "end", "length", "seed"), CASES)
def test_it_is_the_slow_twin(order, end, length, seed):
    tokens = text(length, seed)
    fast = KneserNey.count(tokens, order=order, vocabulary=V, end=end)
    slow = SlowKneserNey(tokens, order=order, vocabulary=V, end=end)
    np.testing.assert_allclose([(0.0, *taken) for taken in fast.discounts], slow.discounts)
    for n, grams in enumerate(fast.grams[1:], 2):
        assert len(grams) == len(slow.counts[n - 1])
        assert sorted(grams.counts) == sorted(slow.counts[n - 1].values())
    held_out = text(120, seed + 50)
    found, _ = fast.log_probabilities(held_out[None, :-1], held_out[None, 1:], fast.start(1))
    begins = 0
    for place, word in enumerate(held_out[1:]):
        if end is not None and held_out[place] == end:
            begins = place
        expected = math.log(slow.p(int(word), held_out[begins : place + 1].tolist()))
        assert found[0][place] == pytest.approx(expected, abs=2e-6), place


@pytest.mark.parametrize("end", [None, V - 1])
@pytest.mark.parametrize("length", [2, 5, 30, 2000])
def test_probabilities_sum_to_one_after_every_context(end, length):
    model = KneserNey.count(text(length), order=4, vocabulary=V, end=end)
    contexts = np.array(list(itertools.product(range(-1, V), repeat=3)))  # seen and unseen ones
    found = model.probabilities(contexts)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(1), 1, rtol=0, atol=1e-6)


def test_a_token_never_seen_has_its_share():
    model = KneserNey.count(text(300), order=3, vocabulary=V + 2)
    found = model.probabilities(model.start(1))[0]
    assert found[V] == found[V + 1] > 0


#: What lmplz of KenLM, of order 3 with its option for tiny texts, makes of two texts: log10 P, from
#: the ARPA files among its own test data.
KENLM = {
    ("a a b a", "b a a b"): {
        "<unk>": -0.90309, "a": -0.46943438, "b": -0.5720968, "</s>": -0.5720968,
        "<s> a": -0.37712017, "a a": -0.37712017, "b a": -0.2984526, "a </s>": -0.58682007,
        "b </s>": -0.5220179, "<s> b": -0.41574955, "a b": -0.58682007,
        "<s> a a": -0.14885087, "b a a": -0.33741078, "<s> b a": -0.124077894,
        "a b a": -0.2997394, "b a </s>": -0.42082912, "a b </s>": -0.397617,
        "a a b": -0.20102891,
    },
    ("a a b b b b b b b", "c"): {
        "<unk>": -1, "a": -0.6146491, "b": -0.6146491, "c": -0.7659168, "</s>": -0.6146491,
        "<s> a": -0.4301247, "a a": -0.4301247, "c </s>": -0.20660876, "b </s>": -0.5404639,
        "<s> c": -0.4740302, "a b": -0.4301247, "b b": -0.3422159,
        "<s> a a": -0.1638568, "<s> c </s>": -0.09113217, "b b </s>": -0.7462621,
        "a a b": -0.1638568, "a b b": -0.13823806, "b b b": -0.13375957,
    },
}  # fmt: skip


@pytest.mark.parametrize("lines", KENLM, ids=" / ".join)
def test_the_figures_in_kenlms_own_tests(lines):
    words = sorted({word for line in lines for word in line.split()})
    ids = {word: id for id, word in enumerate(["</s>", "<unk>", *words])}
    ids["<s>"] = ids["</s>"]
    tokens = [ids["</s>"]]
    for line in lines:
        tokens += [*(ids[word] for word in line.split()), ids["</s>"]]
    V = len(ids) - 1
    model = KneserNey.count(np.array(tokens), order=3, vocabulary=V, end=ids["</s>"])
    assert model.fallback == [1, 2, 3]
    for gram, expected in KENLM[lines].items():
        *context, word = (ids[w] for w in gram.split())
        state = np.array([[-1, -1, *context]])[:, -2:]
        # a single token is what follows a context never seen
        assert np.log10(model.probabilities(state)[0, word]) == pytest.approx(expected, abs=3e-7)


def test_one_discount_and_no_even_distribution_below_are_nltks():
    lm = pytest.importorskip("nltk.lm")
    from nltk.util import everygrams

    tokens = text(120, seed=4)[1:-1] % (V - 1)
    begun = [V - 1, *tokens.tolist()]  # nltk counts no beginning: it gets a token before it
    theirs = lm.KneserNeyInterpolated(3, discount=0.6)
    vocabulary = [str(token) for token in begun]
    theirs.fit([list(everygrams(vocabulary, max_len=3))], vocabulary)
    counted = KneserNey.count(np.array(begun), order=3, vocabulary=V)
    ours = KneserNey(counted.grams, [(0.0, 0.0, 0.0), (0.6, 0.6, 0.6), (0.6, 0.6, 0.6)])
    for context in itertools.product(range(V - 1), repeat=2):
        found = ours.probabilities(np.array([context]))[0]
        for word in range(V - 1):
            expected = theirs.score(str(word), [str(token) for token in context])
            assert found[word] == pytest.approx(expected, abs=1e-6), (context, word)


def test_discounts_by_hand():
    counts = np.repeat([0, 1, 2, 3, 4, 9], [7, 50, 20, 12, 8, 3])
    y = 50 / (50 + 2 * 20)
    expected = (1 - 2 * y * 20 / 50, 2 - 3 * y * 12 / 20, 3 - 4 * y * 8 / 12)
    assert discounts(counts) == (pytest.approx(expected), False)


@pytest.mark.parametrize(
    "numbers",
    [
        {0: 5},
        {2: 5, 3: 4, 4: 3},  # none counted once: Y is zero
        {1: 5, 3: 4, 4: 3},
        {1: 5, 2: 4, 4: 3},
        {1: 5, 2: 4, 3: 40, 4: 3},  # D2 would be negative
        {1: 1, 2: 1, 3: 1, 4: 100},  # D3 would be negative
        {7: 20},  # characters: all are frequent
    ],
)
def test_discounts_where_the_formulas_give_none(numbers):
    counts = np.repeat(list(numbers), list(numbers.values()))
    assert discounts(counts) == ((0.5, 1.0, 1.5), True)


def test_none_counted_four_times_is_no_reason_to_fall_back():
    taken, fallback = discounts(np.repeat([1, 2, 3], [10, 4, 2]))
    assert not fallback
    assert taken[2] == 3


def test_the_text_is_predicted_better_with_longer_contexts_up_to_what_it_needs():
    train, held_out = text(20000, seed=1), text(5000, seed=2)
    found = [
        stream_nats(KneserNey.count(train, order=n, vocabulary=V), held_out)[0] for n in range(1, 6)
    ]
    # what the text was made with: the last token and the third last
    entropy = -sum(p * math.log(p) for p in (0.6, 0.25, 0.1, 0.05)) * (len(held_out) - 1)
    assert entropy < found[3] < 1.08 * entropy
    assert found[3] < found[4] < 1.05 * found[3]
    assert min(found[:3]) > 1.3 * found[3]


@pytest.mark.parametrize("order", [1, 2, 5])
def test_reading_at_once_in_parts_and_step_by_step_is_the_same(order):
    model = KneserNey.count(text(500), order=order, vocabulary=V)
    ids = text(42, seed=9).astype(np.int64)[:40].reshape(2, 20)
    whole, end = model.log_probabilities(ids[:, :-1], ids[:, 1:], model.start(2))
    state, parts = model.start(2), []
    for first in (0, 1, 8):
        last = {0: 1, 1: 8, 8: 19}[first]
        inputs, targets = ids[:, first:last], ids[:, first + 1 : last + 1]
        found, state = model.log_probabilities(inputs, targets, state)
        parts.append(found)
    np.testing.assert_array_equal(np.concatenate(parts, 1), whole)
    np.testing.assert_array_equal(state, end)

    state = model.start(2)
    for place in range(19):
        logits, state = model.step(ids[:, place], state)
        assert logits.dtype == np.float32
        chosen = logits[np.arange(2), ids[:, place + 1]]
        np.testing.assert_allclose(chosen, whole[:, place], rtol=1e-5)

    lengths = np.array([3, 7])
    logits, state = model.read(ids, lengths, model.start(2))
    for row, length in enumerate(lengths):
        alone, after = model.read(ids[row : row + 1, :length], None, model.start(1))
        np.testing.assert_array_equal(logits[row], alone[0])
        np.testing.assert_array_equal(state[row], after[0])
    np.testing.assert_array_equal(model.select(state, np.array([1, 1, 0])), state[[1, 1, 0]])


def test_it_is_made_again_from_its_tensors():
    model = KneserNey.count(text(500), order=4, vocabulary=V, end=V - 1)
    again = KneserNey.from_tensors(model.tensors())
    contexts = np.array(list(itertools.product(range(-1, V), repeat=3)))
    np.testing.assert_array_equal(again.probabilities(contexts), model.probabilities(contexts))
    assert (again.order, again.discounts, again.fallback) == (4, model.discounts, model.fallback)


def damaged():
    tensors = KneserNey.count(text(200), order=3, vocabulary=V).tensors()
    keys = tensors["keys.2"]
    return {
        "an order is missing": {n: t for n, t in tensors.items() if n != "counts.3"},
        "something more": {**tensors, "keys.9": keys},
        "not in order": {**tensors, "keys.2": keys[::-1]},
        "beyond the vocabulary": {**tensors, "keys.2": np.append(keys[:-1], V * V)},
        "negative": {**tensors, "keys.2": np.append(-1, keys[1:])},
        "too few counts": {**tensors, "counts.2": tensors["counts.2"][1:]},
        "a count of nothing": {**tensors, "counts.2": tensors["counts.2"] * 0},
        "another type": {**tensors, "keys.2": keys.astype(np.float32)},
        "discounts of another shape": {**tensors, "discounts": tensors["discounts"][:, :2]},
    }


@pytest.mark.parametrize("name", damaged())
def test_damaged_tensors_are_refused(name):
    with pytest.raises(FormatError, match=r"model\.safetensors: "):
        KneserNey.from_tensors(damaged()[name])
