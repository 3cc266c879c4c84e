"""Answers as dictionaries and as frames."""

import datetime

import numpy as np
import pytest

import recurra
from recurra.errors import InputError
from recurra.tasks.answers import frame_of
from tasks import classified, tagged, tones
from tasks.test_copies import TASKS

SMALL = {"hidden": 4, "steps": 2, "batch": 8, "threads": 1, "progress": False}
pandas = pytest.importorskip("pandas")


def test_forecasts():
    index = pandas.date_range("2024-03-01", periods=40, freq="D")
    frame = pandas.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0)[::-1]}, index=index)
    model = recurra.Forecaster(horizon=3, lookback=6, **SMALL).fit(frame)
    found = model.predict(frame, levels=[0.1, 0.9], samples=2)
    table = found.to_frame()
    assert list(table.columns) == [
        "series", "time", "column", "mean", "median", "0.1", "0.9", "sample 0", "sample 1",
    ]  # fmt: skip
    assert len(table) == 6
    assert table["time"].iloc[0] == pandas.Timestamp("2024-04-10")
    assert pandas.api.types.is_datetime64_any_dtype(table["time"])
    b = table[table["column"] == "b"]
    np.testing.assert_allclose(b["median"], found[0].median[:, 1])
    np.testing.assert_allclose(b["0.9"], found[0].quantiles[:, 1, 1])
    assert found.to_dict() == [found[0].to_dict()]
    pandas.testing.assert_frame_equal(found[0].to_frame(), table)


def test_times_keep_their_zone():
    index = pandas.date_range("2024-01-01", periods=40, freq="h", tz="Europe/Berlin")
    model = recurra.Forecaster(horizon=3, lookback=6, **SMALL)
    series = pandas.Series(np.arange(40.0), index=index)
    times = model.fit(series).predict(series).to_frame()["time"]
    assert times.iloc[0] == pandas.Timestamp("2024-01-02 16:00", tz="Europe/Berlin")
    assert times.iloc[0].utcoffset() == datetime.timedelta(hours=1)


def test_numbers_stay_numbers():
    model = recurra.Forecaster(horizon=3, lookback=6, **SMALL).fit(np.arange(40.0))
    assert model.predict(np.arange(40.0)).to_frame()["time"].tolist() == [40, 41, 42]


def test_texts_and_recordings():
    kinds = {"source_tokenizer": "char", "target_tokenizer": "char"}
    translator = recurra.Translator(**kinds, **SMALL).fit([(f"a{k}", f"{k}b") for k in range(30)])
    found = translator.predict(["a1", "a2"])
    assert found.to_frame()["source"].tolist() == ["a1", "a2"]
    assert found[0].to_frame()["text"].tolist() == [found[0].text]
    assert found == list(found)
    recordings = tones.recordings(12)
    heard = recurra.Transcriber(**{**tones.TINY, **SMALL}).fit(recordings).predict(recordings)
    assert heard.to_frame()["text"].tolist() == [str(one) for one in heard]


def test_labels_and_tags():
    texts = recurra.SequenceClassifier(embedding=4, **SMALL).fit(*classified.reviews(40))
    found = texts.predict(["a fine one", "dull"], probabilities=True)
    every = found.to_frame()[[f"P({label})" for label in texts.labels]]
    np.testing.assert_allclose(every, texts.predict_proba(["a fine one", "dull"]))
    assert found.to_frame()["label"].tolist() == list(texts.predict(["a fine one", "dull"]))
    assert texts.predict("dull", probabilities=True).to_dict() == found.to_dict()[1]
    sentences = [["we", "were"], ["in", "Rome", "."]]
    tagger = recurra.SequenceTagger(embedding=4, character_hidden=4, **SMALL)
    tagger.fit(tagged.places(30, seed=0))
    best = tagger.predict(sentences)
    made = tagger.predict(sentences, n_best=2, probabilities=True)
    table = made.to_frame()
    assert table["sentence"].tolist() == [0, 0, 1, 1, 1]
    assert table["word"].tolist() == [word for row in sentences for word in row]
    assert table["tag"].tolist() == [tag for row in best for tag in row]
    second = [tagging[1].tags for tagging in tagger.predict_n_best(sentences, 2)]
    assert table["tag 2"].tolist() == [tag for tags in second for tag in tags]
    rows = zip(tagger.predict_proba(sentences), best, strict=True)
    both = [pair for proba, tags in rows for pair in zip(proba, tags, strict=True)]
    every = [proba[tagger.tags.index(tag)] for proba, tag in both]
    np.testing.assert_allclose(table["probability"], every)
    assert len(tagger.predict(sentences[0], probabilities=True).to_frame()) == 2


@pytest.mark.parametrize("task", [name for name in TASKS if name != "n-grams"])
def test_scores(task, tmp_path):
    make, train, _ = TASKS[task]
    model = make()
    train(model, tmp_path)
    held_out = {
        "language model": {"text": "the " * 50},
        "classifier": {"data": classified.reviews(9)},
        "classifier of numbers": {"data": classified.slopes(9)},
        "tagger": {"data": tagged.places(9, seed=1)},
        "forecaster": {"data": [np.sin(np.arange(60) / 3)]},
        "translator": {"data": [("a1", "1b")]},
        "transcriber": {"data": tones.recordings(2)},
    }[task]
    scores = model.evaluate(**held_out)
    frame = scores.to_frame()
    assert len(frame) == 1
    figures = {name: v for name, v in scores.to_dict().items() if isinstance(v, int | float)}
    assert figures
    assert frame[list(figures)].iloc[0].tolist() == list(figures.values())
    if task.startswith("classifier"):
        assert scores.plot(tmp_path / "plot.png").read_bytes()[1:4] == b"PNG"
        label = scores.labels[0]
        assert frame[f"classes.{label}.examples"].iloc[0] == scores.confusion[0].sum()
        with pytest.raises(InputError, match="cannot be written"):
            scores.plot(tmp_path / "none" / "plot.png")


def test_without_pandas_it_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(InputError, match="needs pandas: pip install pandas"):
        frame_of([])
