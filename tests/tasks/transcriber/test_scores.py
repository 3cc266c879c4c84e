"""Error rates against jiwer, to the last digit, and against a search over all alignments."""

import math
from functools import cache

import jiwer
import numpy as np
import pytest

from recurra.errors import InputError
from recurra.tasks.transcriber.scores import (
    ErrorRate,
    character_errors,
    edits,
    word_errors,
)

WORDS = ["a", "b", "ab", "c'c", "é", "Ab", "seven"]


def draw(seed):
    random = np.random.default_rng(seed)
    rows = int(random.integers(1, 6))
    return [
        [" ".join(random.choice(WORDS, random.integers(0, 12))) for _ in range(rows)] for _ in "ab"
    ]


def test_rates_are_those_of_jiwer():
    compared = 0
    for seed in range(1000):
        references, hypotheses = draw(seed)
        if not any(references):
            continue
        words, characters = (
            rate(references, hypotheses) for rate in (word_errors, character_errors)
        )
        theirs = jiwer.process_words(references, hypotheses)
        assert words.rate == theirs.wer
        assert words.length == theirs.hits + theirs.substitutions + theirs.deletions
        assert words.errors == theirs.insertions + theirs.substitutions + theirs.deletions
        assert words.hits >= theirs.hits
        assert characters.rate == jiwer.cer(references, hypotheses)
        compared += 1
    assert compared > 900


def all_alignments(reference, hypothesis):
    """(errors, -hits, S, D, I) of the best alignment, by recursion over all."""

    @cache
    def best(i, j):
        if i == 0 or j == 0:
            return (i + j, 0, 0, i, j)
        hit = reference[i - 1] == hypothesis[j - 1]
        diagonal, up, left = best(i - 1, j - 1), best(i - 1, j), best(i, j - 1)
        same = (0, -1, 0, 0, 0) if hit else (1, 0, 1, 0, 0)
        steps = [(diagonal, same), (up, (1, 0, 0, 1, 0)), (left, (1, 0, 0, 0, 1))]
        return min(tuple(a + b for a, b in zip(*pair, strict=True)) for pair in steps)

    return best(len(reference), len(hypothesis))


def test_counts_are_those_of_the_best_alignment():
    for seed in range(1000):
        random = np.random.default_rng(seed)
        a, b = (random.integers(0, 3, random.integers(0, 9)).tolist() for _ in "ab")
        found = edits(a, b)
        counts = (found.errors, -found.hits, found.substitutions, found.deletions, found.insertions)
        assert counts == all_alignments(a, b)
        assert min(counts[2:]) >= 0
        assert found.length == len(a)


@pytest.mark.parametrize(
    ("references", "hypotheses", "expected"),
    [
        (["one two three"], ["one three"], ErrorRate(0, 1, 0, 2)),
        (["one two"], ["one two two"], ErrorRate(0, 0, 1, 2)),
        (["one two"], ["ONE two"], ErrorRate(1, 0, 0, 1)),
        (["  one \t two\n"], ["one two"], ErrorRate(0, 0, 0, 2)),
        ([""], ["one"], ErrorRate(0, 0, 1, 0)),
        ([], [], ErrorRate(0, 0, 0, 0)),
    ],
)
def test_by_hand(references, hypotheses, expected):
    assert word_errors(references, hypotheses) == expected


def test_a_rate_without_references():
    assert math.isnan(word_errors([""], [""]).rate)  # of nothing, none was wrong
    assert word_errors([""], ["one"]).rate == math.inf
    assert word_errors(["one"], ["two three four"]).rate == 3.0


def test_sums_are_over_all_not_means_of_rates():
    both = word_errors(["one", "one two three"], ["two", "one two three"])
    assert both.rate == 0.25


def test_a_hypothesis_is_missing():
    with pytest.raises(InputError, match="expected a hypothesis for each of 2 references"):
        word_errors(["a", "b"], ["a"])
