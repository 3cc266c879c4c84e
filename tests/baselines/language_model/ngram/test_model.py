"""The n-gram model as a user meets it: texts in, figures and texts out, saved and loaded."""

import math
import re

import numpy as np
import pytest

import recurra
from recurra.baselines.language_model.ngram import KneserNey, NGramModel
from recurra.errors import FormatError, InputError
from recurra.storage import read_model, save_model
from tasks.texts import prose

KINDS = [
    {"tokenizer": "char"},
    {"tokenizer": "byte", "order": 4},
    {"tokenizer": "word", "order": 3},
    {"tokenizer": "word", "lines": True},
    {"tokenizer": "bpe", "vocab_size": 290},
]


@pytest.fixture
def texts(tmp_path):
    train, held_out = tmp_path / "train.txt", tmp_path / "held-out.txt"
    train.write_text(prose(3000), encoding="utf-8")
    held_out.write_text(prose(400, seed=1), encoding="utf-8")
    return train, held_out


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_fit_evaluate_generate_save_load(settings, texts, tmp_path):
    train, held_out = texts
    model = NGramModel(**settings)
    assert "not trained" in repr(model)
    model.fit(train, valid=held_out)
    found = model.evaluate(held_out)
    logs = model.log_probabilities(held_out)
    assert len(logs) == found.tokens
    assert -logs.sum() == pytest.approx(found.nats, rel=1e-12)
    assert model.perplexity(held_out) == found.perplexity
    assert found.perplexity == pytest.approx(math.exp(-logs.mean()), rel=1e-12)
    assert found.perplexity < len(model.tokenizer) / 1.5
    assert model.perplexity(train) < found.perplexity

    written = model.generate("the cat", max_tokens=12, seed=3)
    pieces = list(model.stream("the cat", max_tokens=12, seed=3))
    assert "".join(piece.text for piece in pieces) == written.text
    beam = model.generate("the cat", beams=3, max_tokens=4)
    assert beam.score >= model.generate("the cat", temperature=0, max_tokens=4).score - 1e-6
    greedy = model.generate(["the", "a big"], temperature=0, max_tokens=1, eos=False)
    assert model.predict(["the", "a big"]) == [g.text for g in greedy]

    loaded = recurra.load(model.save(tmp_path / "model"))
    assert isinstance(loaded, NGramModel)
    assert loaded.evaluate(held_out) == found
    assert str(loaded.generate("the cat", max_tokens=12, seed=3)) == written.text
    assert loaded.config == model.config
    assert loaded.parameters == model.parameters == sum(map(len, model.runtime.grams))
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"| 1 | {len(model.tokenizer):,} |" in card


def test_what_is_measured_is_the_model_of_its_tokens(texts):
    train, held_out = texts
    model = NGramModel(tokenizer="word", order=3)
    model.fit(train, valid=held_out)
    ids = [model.tokenizer.encode(path.read_text()) for path in texts]
    twin = KneserNey.count(ids[0], order=3, vocabulary=len(model.tokenizer))
    expected, _ = twin.log_probabilities(ids[1][None, :-1], ids[1][None, 1:], twin.start(1))
    np.testing.assert_array_equal(model.log_probabilities(held_out), expected[0])


def test_lines_are_texts_of_their_own(texts):
    train, held_out = texts
    model = NGramModel(tokenizer="word", lines=True)
    model.fit(train, valid=held_out)
    lines = held_out.read_text().splitlines(keepends=True)
    parts = [model.evaluate(text=line) for line in lines]
    assert sum(part.nats for part in parts) == pytest.approx(model.evaluate(held_out).nats)
    turned = "".join(reversed(lines))
    assert model.evaluate(text=turned).nats == pytest.approx(model.evaluate(held_out).nats)


def test_the_held_out_share_is_not_counted(texts):
    train, _ = texts
    model = NGramModel(tokenizer="char", order=3)
    model.fit(train)
    read = model.runtime.grams[-1].counts.sum()  # of a text of N characters, N - 2 trigrams
    assert read + 2 == pytest.approx(0.9 * len(train.read_text()), abs=1)


def test_it_takes_the_tokenizer_of_another_model(texts):
    train, held_out = texts
    other = NGramModel(tokenizer="word", vocab_size=10)
    other.fit(held_out, valid=train)
    model = NGramModel(tokenizer="word")
    model.fit(train, valid=held_out, tokenizer=other.tokenizer)
    assert model.tokenizer.sha256 == other.tokenizer.sha256


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"order": 0}, "order must be a whole number at least 1, received 0"),
        ({"tokenizer": "words"}, "tokenizer must be one of"),
        ({"ordr": 3}, r"ordr \(did you mean order\?\)"),
        ({"order": 2.5, "tokenizer": "x"}, "order must .*tokenizer must|tokenizer must .*order"),
    ],
)
def test_settings_that_do_not_fit(settings, told):
    with pytest.raises(InputError, match=told):
        NGramModel(**settings)


def test_it_has_to_be_trained_first():
    with pytest.raises(InputError, match="not trained yet"):
        NGramModel().perplexity(text="a text")


def test_settings_of_recurrent_models_mean_nothing_here():
    assert NGramModel(hidden=512, batch=3, order=2).config.order == 2


def edited(files, name):
    config, tensors = dict(files.config), dict(files.tensors)
    if name == "settings":
        config["model"] = {"order": "five"}
    elif name == "no settings":
        del config["model"]
    elif name == "counts":
        del tensors["counts.2"]
    else:
        tensors = KneserNey.count(np.arange(9), order=3, vocabulary=9).tensors()
    return config, tensors


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("settings", 'config.json, "model": .*order'),
        ("no settings", 'config.json, "model"'),
        ("counts", "model.safetensors: expected"),
        ("another vocabulary", r"\d+ tokens in tokenizer.json, 9 in model.safetensors"),
    ],
)
def test_a_damaged_directory_is_refused(name, told, texts, tmp_path):
    model = NGramModel(tokenizer="char", order=3)
    model.fit(texts[0], valid=texts[1])
    files = read_model(model.save(tmp_path / "model"))
    config, tensors = edited(files, name)
    save_model(tmp_path / "bad", config=config, tensors=tensors, tokenizer=files.tokenizer)
    with pytest.raises(FormatError, match=told) as error:
        recurra.load(tmp_path / "bad")
    assert "\n" not in str(error.value)


def test_other_models_and_precisions_are_refused(texts, tmp_path):
    model = NGramModel(tokenizer="char", order=3)
    model.fit(texts[0], valid=texts[1])
    folder = model.save(tmp_path / "model")
    with pytest.raises(InputError, match="no precision bf16"):
        recurra.load(folder, precision="bf16")
    with pytest.raises(FormatError, match=re.escape("expected a language model, found")):
        recurra.LanguageModel.load(folder)
