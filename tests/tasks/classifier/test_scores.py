"""Figures of classification against scikit-learn's, to the last digit."""

import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from recurra.errors import InputError
from recurra.tasks.classifier.scores import (
    Classified,
    accuracy,
    confusion_matrix,
    f1_scores,
    macro_f1,
    precision_recall,
)

RANDOM = [(seed, classes, count) for seed in range(40) for classes, count in
          ((2, 1), (2, 50), (3, 7), (5, 400), (11, 60), (26, 30))]  # fmt: skip


@pytest.mark.parametrize(("seed", "classes", "count"), RANDOM)
def test_random_answers(seed, classes, count):
    random = np.random.default_rng([seed, classes, count])
    weights = random.dirichlet(np.full(classes, 0.5))  # some classes are rare, or never there
    true = random.choice(classes, count, p=weights)
    predicted = np.where(random.random(count) < 0.5, true, random.integers(0, classes, count))
    found = confusion_matrix(true, predicted, classes)
    expected = sklearn_metrics.confusion_matrix(true, predicted, labels=np.arange(classes))
    assert (found == expected).all()
    assert accuracy(found) == sklearn_metrics.accuracy_score(true, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are never predicted
        assert macro_f1(found) == sklearn_metrics.f1_score(true, predicted, average="macro")
        figures = sklearn_metrics.precision_recall_fscore_support(
            true, predicted, labels=np.arange(classes), zero_division=0
        )
    precision, recall = precision_recall(found)
    assert (precision == figures[0]).all()
    assert (recall == figures[1]).all()
    assert (np.nan_to_num(f1_scores(found)) == figures[2]).all()
    if classes == 2 and 0 < true.sum() < count:
        p = random.random(count)
        both = np.stack([1 - p, p], 1)
        loss = Classified.measure(true, both, ("a", "b")).loss
        assert loss == pytest.approx(sklearn_metrics.log_loss(true, both), rel=1e-12)


def test_by_hand():
    true, predicted = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    matrix = confusion_matrix(true, predicted, 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert accuracy(matrix) == 3 / 5
    assert f1_scores(matrix)[:3].tolist() == [2 / 4, 4 / 5, 0.0]
    assert math.isnan(f1_scores(matrix)[3])
    assert macro_f1(matrix) == pytest.approx((0.5 + 0.8 + 0) / 3)


def test_what_was_measured_is_told():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]])
    found = Classified.measure(
        np.array([0, 1, 0]), probabilities, ("no", "yes"), skipped=["line 3"]
    )
    told = found.to_dict()
    assert told["accuracy"] == 2 / 3
    assert told["loss"] == pytest.approx(-(math.log(0.5) + math.log(0.75) + math.log(0.1)) / 3)
    assert told["confusion"] == [[1, 1], [0, 1]]
    assert told["classes"]["yes"] == {
        "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "examples": 1,
    }  # fmt: skip
    assert told["skipped"] == ["line 3"]
    assert str(found).splitlines()[0] == (
        "accuracy 0.6667   macro-F1 0.6667   3 examples, 1 skipped"
    )
    assert str(found).splitlines()[-1].split() == ["yes", "0", "1"]


def test_nothing_was_measured():
    found = Classified.measure(np.array([], int), np.empty((0, 2)), ("a", "b"))
    assert all(map(math.isnan, (found.accuracy, found.macro_f1, found.loss)))
    assert found.to_dict()["loss"] is None


@pytest.mark.parametrize(
    ("true", "predicted"), [([0, 1], [0]), ([0, 2], [0, 1]), ([0, 1], [0, -1]), ([[0]], [[0]])]
)
def test_what_makes_no_matrix(true, predicted):
    with pytest.raises(InputError, match="expected"):
        confusion_matrix(np.array(true), np.array(predicted), 2)
