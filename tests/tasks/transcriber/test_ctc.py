"""CTC decoding against the walk over all paths."""

import itertools

import numpy as np
import pytest

from ctc_paths import labelling, labellings
from generate.toys import Table
from recurra.errors import InputError
from recurra.tasks.transcriber.ctc import BestPath, PrefixBeam, TextModel

CASES = 2000


def draw(seed, most=5):
    random = np.random.default_rng(seed)
    T, C = int(random.integers(0, most + 1)), int(random.integers(2, 5))
    logits = random.normal(size=(T, C)) * random.choice([0.3, 1, 3])
    return logits - np.log(np.exp(logits).sum(1, keepdims=True)), random


def cuts(random, T):
    places = np.sort(random.integers(0, T + 1, 2))
    return [slice(0, places[0]), slice(places[0], places[1]), slice(places[1], T)]


def test_the_best_path_is_the_best_of_all_paths_in_any_pieces():
    for seed in range(CASES):
        log_p, random = draw(seed, 4)
        T, C = log_p.shape
        path = max(
            itertools.product(range(C), repeat=T), key=lambda p: log_p[np.arange(T), list(p)].sum()
        )
        whole = BestPath().push(log_p)
        assert whole.ids == labelling(path)
        assert whole.score == pytest.approx(log_p.max(1).sum())
        assert [path[t] - 1 for t in whole.frames] == list(whole.ids)
        decoder = BestPath()
        parts = [decoder.push(log_p[cut]) for cut in cuts(random, T)]
        assert sum((part.ids for part in parts), ()) == whole.ids
        assert sum((part.frames for part in parts), ()) == whole.frames


def test_a_wide_beam_finds_every_labelling_with_its_probability():
    for seed in range(CASES):
        log_p, random = draw(seed, 4)
        expected = labellings(log_p)
        beam = PrefixBeam(beams=1000)
        for cut in cuts(random, len(log_p)):
            beam.push(log_p[cut])
        found = beam.best(1000)
        assert {one.ids for one in found} == set(expected)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for one in found:
            assert one.score == pytest.approx(np.log(expected[one.ids]), rel=1e-9, abs=1e-9)


class Letters:
    """A tokenizer in whose order the end comes first and the letters are reversed."""

    unk_id = None

    def __init__(self, letters, eos=True):
        self.tokens = ["<eos>", *reversed(letters)] if eos else list(letters)
        self.eos_id = 0 if eos else None

    def __len__(self):
        return len(self.tokens)

    def token(self, id):
        return self.tokens[id]


def test_with_a_language_model_it_finds_the_best_sum():
    for seed in range(CASES // 4):
        log_p, random = draw(seed, 4)
        V = log_p.shape[1] - 1
        letters = "abc"[:V]
        tokenizer, table = Letters(letters), Table.random(V + 1, seed=seed)
        weight, bonus = random.uniform(0, 2), random.normal()

        def spoken(ids, table=table, V=V):
            """ln P of a text and its end, letter by letter."""
            text = [0, *(V - i for i in ids), 0]
            return sum(table.log_probabilities(text[:n])[text[n]] for n in range(1, len(text)))

        expected = {
            ids: np.log(p) + weight * spoken(ids) + bonus * len(ids)
            for ids, p in labellings(log_p).items()
        }
        beam = PrefixBeam(
            beams=1000, model=TextModel(table, tokenizer, letters), weight=weight, bonus=bonus
        )
        for cut in cuts(random, len(log_p)):
            beam.push(log_p[cut])
        found = beam.best(1000)
        assert {one.ids for one in found} == set(expected)
        for one in found:
            assert one.score == pytest.approx(expected[one.ids], rel=1e-6, abs=1e-5)
        assert found[0].ids == max(expected, key=expected.get)


def test_a_narrow_beam_never_claims_more_than_is_there_and_mostly_finds_the_best():
    hits = 0
    for seed in range(300):
        log_p, _ = draw(seed)
        expected = labellings(log_p)
        beam = PrefixBeam(beams=3)
        beam.push(log_p)
        found = beam.best(9)
        assert 1 <= len(found) <= 3
        for one in found:
            assert np.exp(one.score) <= expected[one.ids] * (1 + 1e-9)
        hits += found[0].ids == max(expected, key=expected.get)
    assert hits > 270


def test_it_finds_what_the_best_path_misses():
    """Two frames, blank 0.6 in each: no letter on the best path, and yet "a" is more probable."""
    log_p = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert BestPath().push(log_p).ids == ()
    beam = PrefixBeam()
    beam.push(log_p)
    (best,) = beam.best()
    assert (best.ids, best.score) == ((0,), pytest.approx(np.log(0.64)))


def test_a_prefix_lost_and_found_again_is_one_prefix():
    """With a beam of two prefixes drop out and come back; none stands twice among the results."""
    for seed in range(300):
        random = np.random.default_rng(seed)
        logits = random.normal(size=(12, 3)) * 2
        beam = PrefixBeam(beams=4)
        beam.push(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
        found = [one.ids for one in beam.best(4)]
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"beams": 0}, "beams must be a whole number at least 1, received 0"),
        ({"beams": 2.5}, "beams must be"),
        ({"weight": float("nan")}, "weight and bonus must be numbers"),
        ({"bonus": float("inf")}, "weight and bonus must be numbers"),
    ],
)
def test_bad_arguments(arguments, told):
    with pytest.raises(InputError, match=told):
        PrefixBeam(**arguments)


def test_a_language_model_that_does_not_fit():
    with pytest.raises(InputError, match="lines=True"):
        TextModel(Table.random(2), Letters("ab", eos=False), "ab")
    with pytest.raises(InputError, match=r"\['c'\] are not in its vocabulary"):
        TextModel(Table.random(3), Letters("ab"), "abc")
