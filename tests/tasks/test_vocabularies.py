"""The vocabularies that tasks learn hold words of their texts alone, however these are read."""

from dataclasses import replace

import numpy as np
import pytest

import recurra
from recurra.baselines.language_model.ngram import NGramModel
from recurra.cli import main
from recurra.storage import read_model
from recurra.text import KINDS, Corpus, Tokenizer
from tasks import tones

#: The end of a line and the beginning of the next would make words of their own: "satthe".
LINES = ["the cat sat", "the dog ran"] * 60
QUICK = {"steps": 1, "batch": 4, "threads": 1, "progress": False}


def corpus(folder):
    path = folder / "tiny.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


def language_model(kind, size, folder):
    model = recurra.LanguageModel(tokenizer=kind, vocab_size=size, hidden=4, embedding=4)
    model.fit(corpus(folder), lines=True, **QUICK)
    return [model.tokenizer]


def language_model_on_the_command_line(kind, size, folder):
    words = ["train", "lm", corpus(folder), "--out", folder / "run", "--tokenizer", kind, "--lines"]
    words += ["--hidden", "4", "--steps", "1", *(["--vocab-size", size] if size else [])]
    assert main([str(word) for word in words]) == 0
    return [Tokenizer.from_json(read_model(folder / "run").tokenizer)]


def ngrams(kind, size, folder):
    model = NGramModel(tokenizer=kind, vocab_size=size, lines=True, order=2)
    model.fit(corpus(folder))
    return [model.tokenizer]


def classifier(kind, size, folder):
    model = recurra.SequenceClassifier(tokenizer=kind, vocab_size=size, hidden=4, embedding=4)
    model.fit((LINES, ["cat", "dog"] * 60), **QUICK)
    return [model._reader.tokenizer]


def translator(kind, size, folder, **settings):
    model = recurra.Translator(
        source_tokenizer=kind, target_tokenizer=kind, vocab_size=size, hidden=4, **settings
    )
    pairs = [(one, two) for one in LINES[:2] for two in LINES[:2]]
    model.fit(pairs * 30, valid=pairs, **QUICK)
    return [model.vocabulary.source, model.vocabulary.target]


def shared_translator(kind, size, folder):
    return translator(kind, size, folder, shared=True)


def transcriber(kind, size, folder):
    sounds = tones.recordings(len(LINES), seed=1, most=2)
    spoken = [replace(one, text=text) for one, text in zip(sounds, LINES, strict=True)]
    model = recurra.Transcriber(
        **{**tones.TINY, "stride": 1, "tokenizer": kind, "vocab_size": size, "hidden": 4}
    )
    model.fit(spoken, **QUICK)
    return [model.tokenizer]


LEARN = [
    language_model,
    language_model_on_the_command_line,
    ngrams,
    classifier,
    translator,
    shared_translator,
    transcriber,
]
SIZES = {"bpe": 300}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learn", LEARN, ids=lambda learn: learn.__name__)
def test_no_word_is_made_of_two_texts(learn, kind, tmp_path):
    if learn is transcriber and kind == "byte":
        pytest.skip("a transcriber has no tokens of the kind byte")
    for tokenizer in learn(kind, SIZES.get(kind), tmp_path):
        ids = np.array([k for k in range(len(tokenizer)) if k != tokenizer.eos_id])
        tokens = {tokenizer.decode(ids[k : k + 1]).strip() for k in range(len(ids))}
        words = {word for line in LINES for word in line.split()}
        if kind == "word":
            assert tokens == {*words, "<unk>"}
        elif kind == "char":
            assert tokens == {*"".join(words), "", "<unk>"}
        else:
            longer = {token for token in tokens if len(token) > 1}
            assert bool(longer) == (kind == "bpe")
            assert all(any(token in word for word in words) for token in longer)
        assert all((tokenizer.encode(line) != tokenizer.unk_id).all() for line in LINES[:2])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("lines", [False, True])
def test_the_pieces_in_which_a_text_is_read_make_no_words(lines, size, tmp_path, monkeypatch):
    monkeypatch.setattr(Corpus.chunks, "__defaults__", (size,))
    model = recurra.LanguageModel(tokenizer="word", hidden=4, embedding=4)
    model.fit(corpus(tmp_path), lines=lines, **{**QUICK, "bptt": 8})
    tokens = {model.tokenizer.token(k) for k in range(len(model.tokenizer))}
    assert tokens == {word for line in LINES for word in line.split()} | {"<unk>", "<eos>"}


@pytest.mark.parametrize("share", [0.1, 0.123, 0.25, 0.333, 0.5])
@pytest.mark.parametrize("make", [recurra.LanguageModel, NGramModel])
def test_no_word_is_cut_where_the_held_out_text_begins(make, share, tmp_path):
    if make is NGramModel:
        model = NGramModel(tokenizer="word", order=2, valid_share=share)
        model.fit(corpus(tmp_path))
    else:
        model = recurra.LanguageModel(tokenizer="word", hidden=4, embedding=4)
        model.fit(corpus(tmp_path), valid_share=share, bptt=8, **QUICK)
    tokens = {model.tokenizer.token(k) for k in range(len(model.tokenizer))}
    assert tokens == {word for line in LINES for word in line.split()} | {"<unk>", "<eos>"}


def test_files_that_do_not_end_in_a_line_end_are_apart(tmp_path):
    for number, text in enumerate(["the cat sat", "the dog ran"] * 40):
        (tmp_path / f"{number:02d}.txt").write_text(text)
    model = recurra.LanguageModel(tokenizer="word", hidden=4, embedding=4)
    model.fit(tmp_path, bptt=8, **QUICK)
    assert model.tokenizer.id("satthe") is None
    assert model.tokenizer.id("sat") is not None
