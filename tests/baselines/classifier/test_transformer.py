"""The Transformer beside the classifier: it learns order, and says the same when it is loaded."""

import re

import numpy as np
import pytest

from recurra import storage
from recurra.baselines.classifier.bag_of_words import BagOfWords
from recurra.baselines.classifier.transformer import TransformerClassifier
from recurra.baselines.protocol import Budget
from recurra.errors import FormatError, InputError
from tasks.classified import ordered, reviews, slopes

SMALL = {"hidden": 12, "embedding": 12, "batch": 16, "max_steps": 4000}
BUDGET = Budget(parameters=6000, threads=1)
TRAIN, VALID, TEST = ordered(240, seed=1), ordered(60, seed=2), ordered(60, seed=3)


@pytest.fixture(scope="module")
def trained():
    model = TransformerClassifier(**SMALL, epochs=12, lr=5e-3, dropout=0.1, token_dropout=0.0)
    model.fit(TRAIN, valid=VALID, budget=BUDGET)
    return model


def test_it_learns_order_with_as_many_parameters_as_it_is_given(trained):
    assert trained.parameters == pytest.approx(6000, rel=0.02)
    assert trained.evaluate(TEST).accuracy > 0.9


def test_it_says_the_same_when_it_is_loaded(trained, tmp_path):
    loaded = TransformerClassifier.load(trained.save(tmp_path / "model"))
    found = loaded.predict_proba(TEST[0])
    np.testing.assert_array_equal(found, trained.predict_proba(TEST[0]))
    assert loaded.predict(TEST[0]) == trained.predict(TEST[0])
    assert loaded.evaluate(TEST).to_dict() == trained.evaluate(TEST).to_dict()
    assert (loaded.parameters, loaded.config) == (trained.parameters, trained.config)
    loaded.save(tmp_path / "again")
    files = [storage.read_model(tmp_path / name) for name in ("model", "again")]
    assert files[0].config == files[1].config


@pytest.mark.parametrize(
    ("data", "more"),
    [
        (reviews(60), {"members": 2, "subwords": 1, "class_weights": "balanced"}),
        (slopes(60), {"inputs": "numbers", "pooling": "attention"}),
    ],
    ids=["votes, n-grams", "numbers"],
)
def test_other_kinds_of_it_are_loaded_too(data, more, tmp_path):
    model = TransformerClassifier(**SMALL, **more, epochs=1)
    model.fit(data, valid=data, budget=BUDGET)
    loaded = TransformerClassifier.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict_proba(data[0]), model.predict_proba(data[0]))


def test_what_is_no_such_model_is_told(trained, tmp_path):
    with pytest.raises(InputError, match="not trained yet"):
        TransformerClassifier().predict(["a"])
    words = BagOfWords(ngrams=1)
    words.fit(reviews(40), valid=reviews(20, seed=1))
    with pytest.raises(
        FormatError, match="expected a Transformer classifier, found 'bag_of_words'"
    ):
        TransformerClassifier.load(words.save(tmp_path / "words"))
    trained.save(tmp_path / "model")
    files = storage.read_model(tmp_path / "model")
    for name, value, told in (
        ("architecture", {"width": 8}, "config.json: 'feedforward'"),
        ("architecture", {"width": 8, "feedforward": 3}, "model.safetensors: size mismatch"),
        ("labels", None, "config.json"),
    ):
        config = {**files.config, name: value}
        storage.save_model(
            tmp_path / "broken",
            config=config,
            tensors=files.tensors,
            tokenizer=files.tokenizer,
        )
        with pytest.raises(FormatError, match=re.escape(told)):
            TransformerClassifier.load(tmp_path / "broken")
