"""What a user chooses is checked before anything happens, and all mistakes are told at once."""

import pytest

from recurra import LanguageModel
from recurra.errors import InputError
from recurra.tasks.language_model import LanguageModelData, LanguageModelSettings

BAD = [
    ({"cell": "transformer"}, ["cell must be one of rnn, lstm, gru"]),
    ({"hidden": -3}, ["hidden must be a whole number at least 1, received -3"]),
    ({"layers": 0}, ["layers"]),
    ({"vocab_size": 1}, ["vocab_size"]),
    ({"dropout": 1.0}, ["dropout"]),
    ({"hidden": -3, "dropout": 2, "cell": "x", "tokenizer": 4},
     ["hidden", "dropout", "cell", "tokenizer"]),
    ({"cell": "gru", "peephole": True, "projection": 8}, ["peephole", "projection"]),
    ({"cell": "rnn", "reset": "before"}, ["reset"]),
    ({"projection": 384}, ["projection must be below hidden (384)"]),
    ({"tied": True, "embedding": 5, "hidden": 16}, ["embedding of 16", "received 5"]),
    ({"tied": True, "embedding": 0}, ["received 0"]),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "told"), BAD, ids=lambda v: str(v)[:50])
def test_every_mistake_is_told(settings, told):
    with pytest.raises(InputError) as caught:
        LanguageModel(**settings)
    for words in told:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("hiden", "hidden"), ("layer", "layers"), ("drop_out", "dropout")]
)
def test_a_name_that_is_almost_right(wrong, meant):
    with pytest.raises(InputError, match=rf"{wrong} \(did you mean {meant}\?\)"):
        LanguageModel(**{wrong: 1})


def test_names_that_are_not_there_are_told_with_those_that_are(tmp_path):
    with pytest.raises(InputError, match=r"unknown settings: frobnicate, zzz; known: cell, layers"):
        LanguageModel(frobnicate=1, zzz=2)
    with pytest.raises(InputError, match=r"step \(did you mean steps\?\)"):
        LanguageModel().fit(tmp_path / "absent.txt", step=3)


def test_fit_tells_the_mistakes_of_all_its_tables(tmp_path):
    with pytest.raises(InputError) as caught:
        LanguageModel().fit(tmp_path / "absent.txt", batch=0, lr=-1, steps=3, epochs=2)
    for words in ("batch", "lr", "only one of minutes, epochs, steps"):
        assert words in str(caught.value)


@pytest.mark.parametrize("name", ["evaluate", "generate", "save", "perplexity", "stream"])
def test_before_training_there_is_nothing_to_use(name, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("some text")
    arguments = {"save": tmp_path / "model", "generate": "a", "stream": "a"}
    with pytest.raises(InputError, match="not trained yet"):
        getattr(LanguageModel(), name)(arguments.get(name, file))
    assert not (tmp_path / "model").exists()


def test_what_follows_from_the_settings():
    assert not LanguageModelSettings().is_tied
    assert LanguageModelSettings().embedding_size == 128
    assert LanguageModelSettings(hidden=50).embedding_size == 50
    word = LanguageModelSettings(tokenizer="word", hidden=200)
    assert word.is_tied
    assert word.embedding_size == 200
    assert not LanguageModelSettings(tokenizer="bpe", embedding=64).is_tied
    assert not LanguageModelSettings(tokenizer="word", tied=False).is_tied
    assert LanguageModelSettings(projection=100, tied=True).embedding_size == 100
    assert LanguageModelSettings(embedding=0).embedding_size == 0
    assert LanguageModelData().segment == 64
    assert LanguageModelData(lines=True).segment is None
    assert LanguageModelData(bptt="full").segment is None
    assert LanguageModelData(bptt=7, lines=True).segment == 7


def test_it_says_what_it_is():
    assert repr(LanguageModel(hidden=7, layers=2)) == (
        "<LanguageModel: char, lstm, 2 × 7, not trained>"
    )
