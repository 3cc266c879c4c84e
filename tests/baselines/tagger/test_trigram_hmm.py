"""The hidden Markov tagger against all sequences of tags, and against hmmlearn."""

from itertools import product

import numpy as np
import pytest
from hmmlearn.hmm import CategoricalHMM

from recurra.baselines.tagger.trigram_hmm import TrigramHMM
from recurra.errors import FormatError, InputError


def draw(rng, *, tags=4, words=6, asked=1):
    """A model of random sentences, and sentences of words it knows and words it does not."""
    names = [f"w{k}" if k % 2 else f"W{k}ing" for k in range(words)]
    sentences = []
    for _ in range(int(rng.integers(2, 8))):
        size = int(rng.integers(1, 5))
        y = rng.integers(0, tags, size)
        sentences.append(([names[k] for k in rng.integers(0, words, size)], [f"T{k}" for k in y]))
    any_word = np.array([*names, "Wing", "w", "Xs"])
    drawn = [rng.choice(any_word, int(rng.integers(1, 5))).tolist() for _ in range(asked)]
    return TrigramHMM.count(sentences), drawn


def joint(model, words):
    """All sequences of tags (N, T), and ln P(words, tags) of each."""
    edge = len(model.tags)
    y = np.array(list(product(range(edge), repeat=len(words))))
    around = np.pad(y, ((0, 0), (2, 1)), constant_values=edge)
    with np.errstate(divide="ignore"):
        steps = np.log(model.transitions)[around[:, :-2], around[:, 1:-1], around[:, 2:]]
    emitted = np.array([model.emission(word) for word in words])[np.arange(len(words)), y]
    return y, steps.sum(1) + emitted.sum(1)


def test_best_and_sum_are_those_of_all_sequences():
    rng = np.random.default_rng(5)
    for _ in range(500):
        model, sentences = draw(rng, asked=4)
        number = {tag: k for k, tag in enumerate(model.tags)}
        for words in sentences:
            paths, scores = joint(model, words)
            total = np.logaddexp.reduce(scores)
            np.testing.assert_allclose(model.log_likelihood(words), total, atol=1e-9)
            if total > -np.inf:
                best = [number[tag] for tag in model.best(words)]
                (found,) = scores[(paths == best).all(1)]
                assert found == pytest.approx(scores.max(), abs=1e-9)


def test_the_forward_algorithm_is_hmmlearns():
    """Over pairs of tags as states, the end as one more word."""
    rng = np.random.default_rng(6)
    for _ in range(40):
        model, (words,) = draw(rng)
        k = len(model.tags)
        states = [(u, v) for u in range(k + 1) for v in range(k)] + ["end"]
        seen = sorted(set(words))
        oracle = CategoricalHMM(len(states), n_features=len(seen) + 1)
        oracle.n_features = len(seen) + 1
        begin, step = np.zeros(len(states)), np.zeros((len(states), len(states)))
        emit = np.zeros((len(states), len(seen) + 1))
        for i, state in enumerate(states):
            if state == "end":
                step[i, i] = emit[i, -1] = 1
                continue
            u, v = state
            for j, other in enumerate(states):
                if other == "end":
                    step[i, j] = model.transitions[u, v, k]
                elif other[0] == v:
                    step[i, j] = model.transitions[u, v, other[1]]
            begin[i] = model.transitions[k, k, v] if u == k else 0
            for column, word in enumerate(seen):
                emit[i, column] = np.exp(model.emission(word)[v])
        # It wants distributions; the forward algorithm does not mind what they sum to.
        oracle.startprob_, oracle.transmat_, oracle.emissionprob_ = begin, step, emit
        oracle._check = lambda: None
        sequence = np.array([*(seen.index(word) for word in words), len(seen)])[:, None]
        with np.errstate(divide="ignore"):
            found = oracle.score(sequence)
        expected = model.log_likelihood(words)
        assert found == pytest.approx(expected, abs=1e-8) or (found == expected == -np.inf)


def test_transitions_are_a_distribution_and_their_weights_are_brants():
    rng = np.random.default_rng(7)
    for _ in range(50):
        model, _ = draw(rng)
        three = model.trigrams
        k = len(model.tags)
        weights = np.zeros(3)
        for a, b, c in zip(*np.nonzero(three), strict=True):
            two, one = three.sum(0), three.sum((0, 1))
            votes = [
                (one[c] - 1) / max(one.sum() - 1, 1),
                (two[b, c] - 1) / (two[b].sum() - 1) if two[b].sum() > 1 else 0,
                (three[a, b, c] - 1) / (three[a, b].sum() - 1) if three[a, b].sum() > 1 else 0,
            ]
            weights[int(np.argmax(votes))] += three[a, b, c]
        np.testing.assert_allclose(model.interpolation, weights / weights.sum())
        seen = three.sum(2) > 0
        np.testing.assert_allclose(model.transitions.sum(2)[seen], 1)
        assert model.transitions.shape == (k + 1,) * 3


def test_unknown_words_are_told_by_their_endings_and_capitals():
    sentences = [
        (["the", "walking", "talking", "Paris", "London"], ["DET", "VERB", "VERB", "NAME", "NAME"]),
        (["the", "cats", "dogs", "Rome"], ["DET", "NOUN", "NOUN", "NAME"]),
    ]
    model = TrigramHMM.count(sentences)

    def tag(word):
        odds = np.exp(model.emission(word)) * model.word_counts.sum(0)
        return model.tags[int(odds.argmax())]

    assert [tag(w) for w in ("running", "Berlin", "rats", "The")] == ["VERB", "NAME", "NOUN", "DET"]


def test_it_is_rebuilt_of_its_parts():
    model, (words,) = draw(np.random.default_rng(8))
    other = TrigramHMM.from_parts(model.to_json(), model.to_tensors())
    assert other.best(words) == model.best(words)
    assert other.log_likelihood(words) == model.log_likelihood(words)
    with pytest.raises(FormatError, match="counts cannot be read"):
        TrigramHMM.from_parts({"tags": ["a"], "words": []}, model.to_tensors())
    with pytest.raises(InputError, match="received none"):
        TrigramHMM.count([])
    assert model.best([]) == []
    assert model.log_likelihood([]) == 0
