"""The bag of words predicts without scikit-learn what scikit-learn does."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from recurra.baselines.classifier.bag_of_words import STRENGTHS, BagOfWords
from recurra.errors import FormatError, InputError
from recurra.storage import save_model
from recurra.text.lexicon import Normaliser
from tasks.classified import reviews

_NORMALISE = Normaliser(lowercase=True, punctuation=True)


def three(count, seed=0):
    texts, labels = reviews(count, seed=seed)
    odd = ["Odd! Really odd, " + text for text in texts[: count // 4]]
    return texts + odd, labels + ["odd"] * len(odd)


@pytest.mark.parametrize("data", [reviews, three], ids=["two", "three"])
@pytest.mark.parametrize(("weighting", "ngrams"), [("counts", 1), ("tfidf", 1), ("tfidf", 2)])
def test_probabilities_are_those_of_scikit_learn(data, weighting, ngrams, tmp_path):
    train, held, test = data(120), data(40, seed=1), data(40, seed=2)[0] + ["", "never seen"]
    model = BagOfWords(weighting=weighting, ngrams=ngrams)
    model.fit(train, valid=held)
    make = CountVectorizer if weighting == "counts" else TfidfVectorizer
    pieces = make(
        tokenizer=lambda text: _NORMALISE(text).split(), lowercase=False, token_pattern=None,
        ngram_range=(1, ngrams),
    )  # fmt: skip
    scores = {}
    for strength in STRENGTHS:
        peer = make_pipeline(pieces, LogisticRegression(C=strength, max_iter=1000)).fit(*train)
        scores[strength] = peer.score(*held)
        if strength == model.strength:
            expected = peer.predict_proba(test)
            parameters = peer[1].coef_.size + peer[1].intercept_.size
            parameters += len(peer[0].idf_) if weighting == "tfidf" else 0
            assert model.parameters == parameters
            assert tuple(peer.classes_) == model.labels
    assert scores[model.strength] == max(scores.values())
    np.testing.assert_allclose(model.predict_proba(test), expected, atol=1e-9)
    assert model.evaluate(held).accuracy == max(scores.values())

    loaded = BagOfWords.load(model.save(tmp_path / "model"))
    np.testing.assert_allclose(loaded.predict_proba(test), expected, atol=1e-5)
    assert loaded.predict(test) == model.predict(test)
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {
        ".json", ".safetensors", ".md",
    }  # fmt: skip


def test_what_it_refuses(tmp_path):
    with pytest.raises(InputError, match="not trained yet"):
        BagOfWords().predict(["a"])
    with pytest.raises(InputError, match="counts or tfidf"):
        BagOfWords(weighting="bm25")
    save_model(tmp_path / "m", config={"task": "juggling"}, tensors={"a": np.zeros(1, np.float32)})
    with pytest.raises(FormatError, match="juggling"):
        BagOfWords.load(tmp_path / "m")
