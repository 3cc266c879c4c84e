"""Answers as dictionaries and as frames."""

import datetime

import numpy as np
import pytest

import recurra
from recurra.errors import InputError
from recurra.tasks.answers import frame_of
from tasks import tones

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


def test_without_pandas_it_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(InputError, match="needs pandas: pip install pandas"):
        frame_of([])
