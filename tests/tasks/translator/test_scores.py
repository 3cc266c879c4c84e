"""BLEU and chrF against sacrebleu to the last digit; error rates against hand sums and a judge."""

import itertools
import math
import random

import numpy as np
import pytest

from recurra.errors import InputError
from recurra.tasks.translator.scores import bleu, chrf, distance, error_rate

sacrebleu = pytest.importorskip("sacrebleu")

#: Pieces in which cutting words from punctuation can go wrong.
PIECES = [
    *"ab,.-1 2'&;é \"$",
    " the ",
    " cat",
    "&amp;",
    "&quot;",
    " sat",
    "\t",
    "-\n",
    "1.5",
    "<b>",
]


def texts(draw: random.Random, most: int) -> str:
    return "".join(draw.choice(PIECES) for _ in range(draw.randint(0, most)))


def corpus(seed):
    draw = random.Random(seed)
    count, references = draw.randint(1, 5), draw.randint(1, 3)
    hypotheses = [texts(draw, 18) for _ in range(count)]
    return hypotheses, [
        [text if draw.random() < 0.3 else texts(draw, 18) for _ in range(references)]
        for text in hypotheses
    ]


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_bleu_and_chrf_are_sacrebleus(start):
    for seed in range(start, start + 100):
        hypotheses, references = corpus(seed)
        streams = [list(stream) for stream in zip(*references, strict=True)]
        assert bleu(hypotheses, references) == sacrebleu.corpus_bleu(hypotheses, streams).score
        assert chrf(hypotheses, references) == sacrebleu.corpus_chrf(hypotheses, streams).score


def test_lists_of_references_may_differ_in_length():
    hypotheses = ["the cat sat on the mat", "a dog ran far away"]
    references = [["the cat sat on a mat", "the cat sat on the mat ."], ["a dog ran away"]]
    streams = [[references[0][0], references[1][0]], [references[0][1], None]]
    assert bleu(hypotheses, references) == sacrebleu.corpus_bleu(hypotheses, streams).score
    assert chrf(hypotheses, references) == sacrebleu.corpus_chrf(hypotheses, streams).score


def plain_distance(a, b):
    """The definition, without a table."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return plain_distance(a[1:], b[1:])
    rest = (plain_distance(a[1:], b), plain_distance(a, b[1:]), plain_distance(a[1:], b[1:]))
    return 1 + min(rest)


def test_distances_of_all_short_texts():
    words = ["".join(w) for n in range(4) for w in itertools.product("ab", repeat=n)]
    for a, b in itertools.product(words, words):
        assert distance(a, b) == plain_distance(a, b)


def test_error_rate_by_hand():
    found = error_rate(["A B C", "X", "A"], [["A C", "A B C D"], ["Y Z"], ["A", "B"]])
    # One edit to either of the first two, of which the longer counts; two edits; none.
    assert (found.edits, found.length, found.wrong, found.texts) == (3, 4 + 2 + 1, 2, 3)
    assert found.tokens == pytest.approx(3 / 7)
    assert found.whole == pytest.approx(2 / 3)


@pytest.mark.parametrize(("text", "reference", "rate"), [("", "", math.nan), ("a", "", math.inf)])
def test_an_empty_reference(text, reference, rate):
    np.testing.assert_equal(error_rate([text], [[reference]]).tokens, rate)


def test_characters():
    assert error_rate(["abc d"], [["abd"]], cut=list).edits == 2


@pytest.mark.parametrize("measure", [bleu, chrf, error_rate])
def test_mistakes_are_told(measure):
    with pytest.raises(InputError, match="each of 2 texts, received 1"):
        measure(["a", "b"], [["a"]])
    with pytest.raises(InputError, match="text 1: expected a list of at least one"):
        measure(["a", "b"], [["a"], []])
    with pytest.raises(InputError, match=r"references: expected a list, .* item 0 is the text 'a'"):
        measure(["a"], ["a"])
