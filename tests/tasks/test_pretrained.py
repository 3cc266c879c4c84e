"""Classifiers and taggers that begin from a language model."""

import numpy as np
import pytest

import recurra
from recurra import LanguageModel, SequenceClassifier, SequenceTagger
from recurra.errors import InputError
from recurra.storage import read_model
from recurra.tasks.classifier.settings import ClassifierSettings
from recurra.tasks.pretrained import adopt, read_pretrained
from tasks.texts import QUICK, prose


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained language model in `lm`."""
    folder = tmp_path_factory.mktemp("models")
    text = folder / "text.txt"
    text.write_text(prose(), encoding="utf-8")
    model = LanguageModel(
        tokenizer="word", cell="gru", layers=2, hidden=16, embedding=12, layer_norm=True
    )
    model.fit(text, progress=False, **QUICK)
    model.save(folder / "lm")
    return folder


WORDS = ["the big cat sees", "a small dog runs", "we likes the tree", "they runs from"]
EXAMPLES = ([f"{text} {'house' if k % 2 else 'and'}" for k in range(5) for text in WORDS] * 2,
            ["yes" if k % 2 else "no" for k in range(5) for _ in WORDS] * 2)  # fmt: skip

HOW = {"progress": False, "batch": 8, "valid": EXAMPLES}


def weights(model):
    return model.files.tensors


def test_its_tokenizer_embedding_and_layers_are_taken_over(folder, tmp_path):
    lm = recurra.load(folder / "lm")
    # One layer learns, and that from the second step on.
    model = SequenceClassifier(hidden=99, layers=3, cell="rnn", bidirectional=True)
    model.fit(EXAMPLES, pretrained=str(folder / "lm"), steps=1, lr=1e-9, weight_decay=0.0, **HOW)
    c = model.config
    assert (c.cell, c.layers, c.hidden, c.embedding, c.layer_norm) == ("gru", 2, 16, 12, True)
    assert not c.is_bidirectional
    assert model.files.tokenizer == lm.files.tokenizer
    carried = [name for name in weights(lm) if not name.startswith("head.")]
    assert "embedding.weight" in carried
    assert any(name.startswith("rnn.weight_hh_l1") for name in carried)
    for name in carried:
        np.testing.assert_allclose(weights(model)[name], weights(lm)[name], atol=1e-6)
    loaded = recurra.load(model.save(tmp_path / "model"))
    assert loaded.predict(EXAMPLES[0]) == model.predict(EXAMPLES[0])


def test_it_learns_from_the_last_layer_to_the_first(folder):
    """With half the run for each layer but the last, the first two do not get their turn."""
    lm = recurra.load(folder / "lm")
    model = SequenceClassifier()
    how = {"steps": 8, "lr": 0.01, "lr_decay": 0.4, "unfreeze": 0.5, "eval_every": 8}
    model.fit(EXAMPLES, pretrained=str(folder / "lm"), **how, **HOW)
    same = {n: np.array_equal(t, weights(model)[n]) for n, t in weights(lm).items()
            if not n.startswith("head.")}  # fmt: skip
    assert all(same[name] for name in same if name.endswith("_l0") or "embedding" in name)
    assert not any(same[name] for name in same if name.endswith("_l1"))


def test_what_is_trained_is_trained_further_without_it(folder):
    model = SequenceClassifier()
    model.fit(EXAMPLES, pretrained=str(folder / "lm"), steps=4, **HOW)
    before = weights(model)["head.weight"].copy()
    model.fit(EXAMPLES, pretrained=str(folder / "lm"), steps=1, lr=1e-9, **HOW)
    np.testing.assert_allclose(weights(model)["head.weight"], before, atol=1e-5)


def test_the_run_knows_what_it_began_from(folder, tmp_path):
    how = {"steps": 2, "out": tmp_path / "run", "pretrained": str(folder / "lm"), **HOW}
    SequenceClassifier().fit(EXAMPLES, **how)
    again = SequenceClassifier().fit(EXAMPLES, **how)  # the same
    assert again.fit_result_.steps == 2
    files = read_model(folder / "lm")
    other = recurra.LanguageModel.from_files(files)
    files.tensors["embedding.weight"] = files.tensors["embedding.weight"] + 1
    other.save(tmp_path / "other")
    with pytest.raises(InputError, match="holds a run that differs"):
        SequenceClassifier().fit(EXAMPLES, **{**how, "pretrained": str(tmp_path / "other")})


def test_what_is_no_beginning(folder, tmp_path):
    with pytest.raises(InputError, match="no such directory"):
        SequenceClassifier().fit(EXAMPLES, pretrained=str(tmp_path / "nowhere"), **HOW)
    classifier = SequenceClassifier()
    classifier.fit(EXAMPLES, steps=1, **HOW)
    classifier.save(tmp_path / "classifier")
    with pytest.raises(InputError, match="expected a language model, found a model of the task"):
        read_pretrained(str(tmp_path / "classifier"))
    text = tmp_path / "text.txt"
    text.write_text(prose(), encoding="utf-8")
    one_hot = LanguageModel(embedding=0, hidden=8)
    one_hot.fit(text, progress=False, **QUICK)
    one_hot.save(tmp_path / "one-hot")
    with pytest.raises(InputError, match="reads one-hot vectors"):
        read_pretrained(str(tmp_path / "one-hot"))


def test_settings_that_are_not_of_layers_stay(folder):
    files = read_pretrained(str(folder / "lm"))
    config = ClassifierSettings(dropout=0.3, pooling="last", lowercase=True, hidden=7)
    found = adopt(config, files)
    assert (found.dropout, found.pooling, found.lowercase) == (0.3, "last", True)
    assert (found.hidden, found.subwords) == (16, 0)


TAGGED = [
    (text.split(), ["NOUN" if word in ("cat", "dog", "tree") else "X" for word in text.split()])
    for text in WORDS * 6
]


def test_a_tagger_begins_from_it_too(folder, tmp_path):
    lm = recurra.load(folder / "lm")
    model = SequenceTagger()
    how = {"steps": 1, "lr": 1e-9, "weight_decay": 0.0, "batch": 8, "progress": False}
    model.fit(TAGGED, valid=TAGGED, pretrained=str(folder / "lm"), **how)
    c = model.config
    assert (c.cell, c.layers, c.hidden, c.embedding, c.characters) == ("gru", 2, 16, 12, 0)
    for name in weights(lm):
        if not name.startswith("head."):
            np.testing.assert_allclose(weights(model)[name], weights(lm)[name], atol=1e-6)
    loaded = recurra.load(model.save(tmp_path / "model"))
    sentences = [words for words, _ in TAGGED]
    assert loaded.predict(sentences) == model.predict(sentences)
    how = {"steps": 8, "lr": 0.02, "lr_decay": 0.4, "unfreeze": 0.5, "batch": 8, "progress": False}
    tuned = SequenceTagger()
    tuned.fit(TAGGED, valid=TAGGED, pretrained=str(folder / "lm"), **how)
    assert (weights(tuned)["embedding.weight"] == weights(lm)["embedding.weight"]).all()
    assert (weights(tuned)["rnn.weight_ih_l1"] != weights(lm)["rnn.weight_ih_l1"]).any()


def test_a_tagger_reads_words(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(prose(), encoding="utf-8")
    characters = LanguageModel(hidden=8, embedding=8)
    characters.fit(text, progress=False, **QUICK)
    characters.save(tmp_path / "characters")
    with pytest.raises(InputError, match="expected a language model of words"):
        SequenceTagger().fit(TAGGED, pretrained=str(tmp_path / "characters"), progress=False)
