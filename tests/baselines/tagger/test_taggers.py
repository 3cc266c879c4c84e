"""Rivals in tagging, as a comparison meets them."""

import pycrfsuite
import pytest

from recurra.baselines import compare
from recurra.baselines.tagger.crf_features import features
from recurra.baselines.tagger.crfsuite import CRFTagger
from recurra.baselines.tagger.hmm import HMMTagger
from recurra.errors import FormatError, InputError
from recurra.tasks.tagger.word_features import shape
from tasks.tagged import QUICK, TINY, grammar, places

RIVALS = {"hmm": HMMTagger, "crf": CRFTagger}
TRAIN, TEST = grammar(150, seed=0), grammar(40, seed=2)


@pytest.mark.parametrize("name", RIVALS)
def test_it_learns_is_saved_and_read(name, tmp_path):
    made = RIVALS[name]()
    made.fit(TRAIN)
    found = made.evaluate(TEST)
    assert found.accuracy > 0.9
    assert found.entities is None
    assert made.parameters > 20
    other = RIVALS[name].load(made.save(tmp_path / "model"))
    sentences = [words for words, _ in TEST]
    assert other.predict(sentences) == made.predict(sentences)
    assert other.parameters == made.parameters
    assert other.evaluate(TEST) == found
    assert not list((tmp_path / "model").glob("*.pkl"))


@pytest.mark.parametrize("name", RIVALS)
def test_untrained_or_foreign_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="is not trained yet"):
        RIVALS[name]().predict([["a"]])
    other = next(rival for key, rival in RIVALS.items() if key != name)()
    other.fit(TRAIN[:20])
    with pytest.raises(FormatError, match="expected a"):
        RIVALS[name].load(other.save(tmp_path / "model"))


def test_the_crf_tags_and_scores_as_crfsuite_does(tmp_path):
    """Its own prediction against the library's, with the model the library wrote."""
    train, test = places(80, seed=0), places(30, seed=1)
    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    made = CRFTagger(iterations=30)
    trainer.set_params(made._how)
    for words, tags in train:
        trainer.append(pycrfsuite.ItemSequence(features(words)), tags)
    trainer.train(str(tmp_path / "model"))
    oracle = pycrfsuite.Tagger()
    oracle.open(str(tmp_path / "model"))
    made.fit(train, valid=test)
    marginals = 0
    for words, _ in test:
        assert made.predict([words])[0] == oracle.tag(pycrfsuite.ItemSequence(features(words)))
        scores = made.chain.marginals(made.emissions(words))
        for k, tag in enumerate(made.tags):
            for t in range(len(words)):
                assert scores[t, k] == pytest.approx(oracle.marginal(tag, t), abs=1e-6)
                marginals += 0.01 < scores[t, k] < 0.99
    assert marginals > 10


def test_features_are_the_fields():
    row = features(["In", "New-York", "42"])[1]
    assert {"w=new-york", "s=XxxxXxxx".replace("xX", "x-X"), "S=Xx-Xx"} <= {*row, "s=Xxxx-Xxxx"}
    for wanted in ("p1=n", "e3=ork", "hyphen", "title", "w-1=in", "w1=42", "edge-2", "edge2"):
        assert (wanted in row) != wanted.startswith("edge-3")
    assert shape("aB1-é") == "xXd-x"


def test_they_are_compared():
    how = {name: value for name, value in QUICK.items() if name not in ("progress", "threads")}
    how["epochs"] = 1
    found = compare("tag", TRAIN[:60], valid=TEST[:10], test=TEST[10:], threads=1, **TINY, **how)
    assert {result.model for result in found.results} == {"gru", "hmm", "crf", "transformer"}
    assert found.metric == "accuracy"  # there are no entities in it
    assert set(found["hmm"].figures) == {"accuracy", "unknown_accuracy"}
    entities = compare("tag", places(40, seed=0), test=places(20, seed=1), models=["hmm"])
    assert entities.metric == "f1"
    assert 0 <= entities["hmm"].figures["f1"] <= 1
