"""Whatever data are called and hold, training loses nothing: it is refused before, or saved."""

import json
import os

import numpy as np
import pytest

import recurra
from recurra.baselines.language_model.ngram import NGramModel
from recurra.errors import InputError
from recurra.storage import save_model
from recurra.tasks.card import shown
from recurra.tasks.transcriber.wav import Sound, write_wav
from recurra.text import Corpus, train_tokenizer
from tasks import tones

QUICK = {"steps": 2, "batch": 4, "threads": 1, "progress": False}
#: Of files, labels, tags, columns, words.
NAMES = {
    "plain": "name",
    "half of a surrogate pair": "a\ud83d",
    "controls": "a\x07\x1b[31m`|\\<b>{x}%s",
    "long": "n" * 240,
    "right to left": "\u202eab\u2066",
    "other scripts": "Überßtraße 中文 \U0001f600",
}


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def language_model(folder, name):
    path = folder / "corpus.txt"
    path.write_text("the cat sat on the mat.\n" * 40)
    return (
        recurra.LanguageModel(hidden=4, embedding=4),
        path,
        lambda m: m.generate("the ", temperature=0).text,
    )


def ngrams(folder, name):
    return (
        NGramModel(order=2),
        language_model(folder, name)[1],
        lambda m: m.generate("the ", temperature=0).text,
    )


def classifier(folder, name):
    texts = [("good film", name), (f"bad {name}", "bad")] * 10
    path = lines(folder / "data.jsonl", [{"text": t, "label": y} for t, y in texts])
    model = recurra.SequenceClassifier(hidden=4, embedding=4, subwords=2)
    return model, path, lambda m: m.predict(["good film", name])


def tagger(folder, name):
    rows = [{"words": ["a", name, "b"], "tags": ["X", name, "Y"]}] * 12
    model = recurra.SequenceTagger(hidden=4, embedding=4, character_hidden=4, features=True)
    return model, lines(folder / "data.jsonl", rows), lambda m: m.predict([["a", name]])


def forecaster(folder, name):
    path = folder / "data.csv"
    quoted = '"' + name.replace("\ud83d", "?").replace('"', '""') + '"'
    rows = [f"{quoted},2024-01-{1 + k:02d},{k}" for k in range(30)]
    path.write_text("\n".join([f"id,ds,{quoted}", *rows]) + "\n")
    model = recurra.Forecaster(horizon=2, lookback=4, hidden=4)
    return model, path, lambda m: m.predict(path)[0].mean


def translator(folder, name):
    texts = [(f"{name} a{k}", f"b{k} {name}") for k in range(12)]
    rows = [{"source": s, "target": t} for s, t in texts]
    model = recurra.Translator(source_tokenizer="word", target_tokenizer="char", hidden=4)
    return model, lines(folder / "data.jsonl", rows), lambda m: m.predict(f"{name} a1").text


def transcriber(folder, name):
    rows = []
    for k, recording in enumerate(tones.recordings(12, seed=1)):
        write_wav(folder / f"{k}.wav", recording.sound)
        rows.append({"path": f"{k}.wav", "text": f"o {name}"[:5], "speaker": name})
    model = recurra.Transcriber(**{**tones.TINY, "stride": 1, "tokenizer": "char", "hidden": 4})
    sound = Sound(np.zeros(4000, np.float32), tones.RATE)
    return model, lines(folder / "data.jsonl", rows), lambda m: m.predict(sound)[0].text


TASKS = [language_model, ngrams, classifier, tagger, forecaster, translator, transcriber]
named = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)


def check(model, data, use, folder):
    """Train; the run holds a model that loads, works, is saved again, and has a card."""
    how = {} if isinstance(model, NGramModel) else {**QUICK, "out": folder / "run"}
    if isinstance(model, recurra.Forecaster):
        how |= {"series_column": "id", "time_column": "ds"}
    model.fit(data, **how)
    model.save(folder / "model")
    loaded = recurra.load(folder / "model")
    assert str(use(loaded)) == str(use(model))
    loaded.save(folder / "again")
    for path in sorted((folder / "model").iterdir()):
        assert (folder / "again" / path.name).read_bytes() == path.read_bytes()
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    assert card.isprintable() or set(card) - {"\n"} <= {c for c in card if c.isprintable()}
    if how:
        assert (folder / "run" / "report.html").read_text(encoding="utf-8")
        assert recurra.load(folder / "run").files.config == loaded.files.config
        left = [path.name for path in (folder / "run").iterdir() if path.name.startswith(".")]
        assert left == []


@named
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_texts_labels_tags_and_columns(task, name, tmp_path):
    if task in (language_model, ngrams) and name != "name":
        pytest.skip("has no names in its data, which are text in UTF-8")
    if task is forecaster and name == NAMES["half of a surrogate pair"]:
        pytest.skip("a table is text in UTF-8 and has no halves of surrogate pairs")
    check(*task(tmp_path, name), tmp_path)


@named
@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"a\nb\x07`|", b"n" * 240, "中文 \U0001f600".encode()], ids=repr
)
def test_names_of_files_and_folders(task, name, tmp_path):
    folder = tmp_path / os.fsdecode(name)
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system has no such names")
    model, data, use = task(folder, "name")
    moved = data.with_name(os.fsdecode(name + b"".join(os.fsencode(s) for s in data.suffixes)))
    data.rename(moved)
    check(model, moved, use if task is not forecaster else lambda m: m.predict(moved)[0], folder)


HALVES = {
    "classifier": (classifier, {"tokenizer": "byte", "subwords": 0}),
    "classifier of subwords": (classifier, {"tokenizer": "bpe", "subwords": 0, "vocab_size": 300}),
    "translator": (translator, {"source_tokenizer": "bpe", "vocab_size": 300}),
    "translator's targets": (translator, {"target_tokenizer": "byte"}),
    "transcriber": (transcriber, {"tokenizer": "bpe", "vocab_size": 300}),
}


@pytest.mark.parametrize("case", HALVES)
def test_bytes_of_half_a_character_are_refused_before_training(case, tmp_path):
    task, settings = HALVES[case]
    model, data, _ = task(tmp_path, "a\ud83d")
    model = type(model)(**{**model.config.to_json(), **settings})
    with pytest.raises(InputError, match=r"surrogate pair \(U\+D83D\)") as caught:
        model.fit(data, out=tmp_path / "run", **QUICK)
    assert "\n" not in str(caught.value)
    assert "data.jsonl" in str(caught.value) or "wav" in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["char", "word"])
def test_half_a_character_is_an_unknown_symbol(kind):
    tokenizer = train_tokenizer(kind, ["a \ud83d", "b\ud83d a"], texts=True)
    ids = tokenizer.encode("a \ud83d")
    assert ids[0] != tokenizer.unk_id
    assert ids[-1] == tokenizer.unk_id


def test_a_text_in_memory_with_half_a_character_is_refused():
    with pytest.raises(InputError, match="surrogate pair"):
        Corpus.of("a \ud83d")
    with pytest.raises(InputError, match="surrogate pair"):
        train_tokenizer("bpe", ["a \ud83d"] * 9, vocab_size=300)


def test_what_cannot_be_saved_is_told_before_training(tmp_path, monkeypatch):
    model, data, _ = classifier(tmp_path, "name")
    monkeypatch.setattr("recurra.storage.model.SIZE_LIMIT", 200)
    steps = []

    class Watch:
        def on_start(self, event): ...
        def on_validation(self, event): ...
        def on_end(self, event): ...
        def on_step(self, event):
            steps.append(event.step)

    with pytest.raises(InputError, match="the most that is read is 200"):
        model.fit(data, out=tmp_path / "run", callbacks=[Watch()], **QUICK)
    assert steps == []


def test_what_is_saved_can_be_read(tmp_path, monkeypatch):
    tensors = {"w": np.zeros(2, np.float32)}
    monkeypatch.setattr("recurra.storage.model.SIZE_LIMIT", 200)
    tokenizer = {"a": "x" * 1000}
    with pytest.raises(InputError, match=r"tokenizer\.json: 1,0\d\d bytes"):
        save_model(tmp_path / "m", config={"task": "t"}, tensors=tensors, tokenizer=tokenizer)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("plain name", "plain name"), ("a\nb", "a\\nb"), ("\ud83d`", "\\ud83d'"), ("é" * 99, 80)],
)
def test_names_in_cards(name, wanted):
    found = shown(name)
    assert found == wanted or len(found) == wanted
    assert found.isprintable()


def test_models_are_saved_under_long_names(tmp_path):
    model, data, use = classifier(tmp_path, "name")
    model.fit(data, **QUICK)
    model.save(tmp_path / ("n" * 255))
    assert use(recurra.load(tmp_path / ("n" * 255))) == use(model)
