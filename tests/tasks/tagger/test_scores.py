"""seqeval is the judge: every figure equal to its own, on tags drawn at random."""

import random
import warnings

import pytest
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB1, IOB2, IOBES

from recurra.errors import InputError
from recurra.tasks.tagger.scheme import is_entity_tag
from recurra.tasks.tagger.scores import (
    SCHEMES,
    entities,
    entity_scores,
    tag_accuracy,
)

TYPES = ("PER", "LOC", "creative-work", "")
ORACLES = {"BIO": IOB2, "IOB1": IOB1, "IOBES": IOBES}


def draw(rng, prefixes, changes):
    """Sentences of tags of any kind of nonsense, and the same with some tags changed."""

    def tag():
        prefix = rng.choice(prefixes)
        kind = rng.choice(TYPES)
        return "O" if prefix == "O" else f"{prefix}-{kind}" if kind else prefix

    wanted = [[tag() for _ in range(rng.randint(1, 9))] for _ in range(rng.randint(1, 6))]
    found = [[t if rng.random() > changes else tag() for t in row] for row in wanted]
    return wanted, found


def judged(wanted, found, **options):
    with warnings.catch_warnings():  # seqeval warns of what it cannot divide
        warnings.simplefilter("ignore")
        return classification_report(wanted, found, output_dict=True, **options)


@pytest.mark.parametrize("scheme", [None, *SCHEMES])
def test_every_figure_is_seqevals(scheme):
    rng = random.Random(7)
    prefixes = "BIO" if scheme in ("BIO", "IOB1") else "BIOES"
    some = 0
    for trial in range(400):
        wanted, found = draw(rng, prefixes, changes=(0.1, 0.5, 1.0)[trial % 3])
        options = {} if scheme is None else {"mode": "strict", "scheme": ORACLES[scheme]}
        try:
            expected = judged(wanted, found, **options)
        except ValueError:  # it fails where there are no entities at all
            expected = {"micro avg": dict.fromkeys(["precision", "recall", "f1-score"], 0.0)}
        scores = entity_scores(wanted, found, scheme=scheme)
        for name, score in [("micro avg", scores.overall), *scores.types.items()]:
            judge = expected[name]
            assert score.precision == judge["precision"], (wanted, found, name)
            assert score.recall == judge["recall"], (wanted, found, name)
            assert score.f1 == judge["f1-score"], (wanted, found, name)
            assert score.support == judge.get("support", 0), (wanted, found, name)
        averages = {"micro avg", "macro avg", "weighted avg"}
        assert set(scores.types) == set(expected) - averages
        if scores.types:
            assert scores.macro_f1 == pytest.approx(expected["macro avg"]["f1-score"], abs=1e-15)
        assert tag_accuracy(wanted, found) == accuracy_score(wanted, found)
        some += 0 < scores.overall.f1 < 1
    assert some > 80


def test_entities_by_hand():
    tags = ["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-PER"]
    assert entities(tags) == [("PER", 0, 1), ("LOC", 3, 3), ("LOC", 4, 4), ("PER", 5, 5)]
    assert entities(tags, scheme="BIO") == [("PER", 0, 1), ("LOC", 4, 4)]
    whole = ["S-X", "B-X", "E-X", "B-X", "I-X"]
    assert entities(whole, scheme="IOBES") == [("X", 0, 0), ("X", 1, 2)]
    assert entities([]) == []


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("O", True), ("B-x", True), ("S-x", True), ("B", False), ("NOUN", False), ("INTJ", False)],
)
def test_what_looks_like_an_entitys_tag(tag, expected):
    assert is_entity_tag(tag) == expected


@pytest.mark.parametrize(
    ("wanted", "found", "options", "told"),
    [
        ([["O"]], [["O"], ["O"]], {}, "expected tags of 1 sentences, received 2"),
        ([["O", "O"]], [["O"]], {}, "sentence 1: expected a tag for each of 2 words, received 1"),
        ([[]], [[]], {}, "expected sentences with words, received none"),
        ([["X-a"]], [["O"]], {}, "expected a tag of entities (BIO or IOBES), received 'X-a'"),
        ([["E-a"]], [["O"]], {"scheme": "BIO"}, "expected a tag of entities (BIO), received 'E-a'"),
        ([["O"]], [["O"]], {"scheme": "IOC"}, "scheme: expected one of BIO, IOBES, IOB1"),
    ],
)
def test_what_cannot_be_compared_is_refused(wanted, found, options, told):
    with pytest.raises(InputError) as error:
        entity_scores(wanted, found, **options)
    assert told in str(error.value)
