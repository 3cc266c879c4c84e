"""Tables that are read without options, and the line that says what they were taken for."""

import gzip
import json

import numpy as np
import pytest

import recurra
from recurra.errors import InputError
from recurra.tasks.forecaster.settings import SeriesSettings

DAYS = [f"2024-01-{k:02d}" for k in range(1, 10)]


def lines(header, rows, sign=","):
    return "\n".join([header, *(sign.join(map(str, row)) for row in rows)]) + "\n"


#: Tables, the series in them, their first values, and what is said of it.
TABLES = {
    "Nixtla": (
        lines("unique_id,ds,y", [(u, d, k) for u in "AB" for k, d in enumerate(DAYS)]),
        ["A", "B"], [[0], [1]], "read as long: series in unique_id, times in ds, values in y",
    ),
    "Nixtla, other order": (
        lines("ds,y,unique_id", [(d, k, "A") for k, d in enumerate(DAYS)]),
        ["A"], [[0], [1]], "read as long: series in unique_id, times in ds, values in y",
    ),
    "Nixtla, more values": (
        lines("unique_id,ds,price,y", [("A", d, 5, k) for k, d in enumerate(DAYS)]),
        ["A"], [[0, 5], [1, 5]],
        "read as long: series in unique_id, times in ds, values in y, with price",
    ),
    "Nixtla, as pandas writes it": (
        lines(",unique_id,ds,y", [(k, "A", d, k) for k, d in enumerate(DAYS)]),
        ["A"], [[0], [1]],
        "left out the first column, which numbers the rows; read as long: series in unique_id, "
        "times in ds, values in y",
    ),
    "index of numbers": (
        lines(",ds,y", [(k, d, k) for k, d in enumerate(DAYS)]),
        [""], [[0], [1]], "left out the first column, which numbers the rows",
    ),
    "index of times": (lines(",y", list(zip(DAYS, range(9), strict=True))), [""], [[0], [1]], ""),
    "values alone": (
        lines("y", [(k,) for k in range(9)]),
        [""], [[0], [1]], "read 'y' as one series, its rows numbered: there are no times",
    ),
    "wide": (
        lines("ds,a,b", [(d, k, -k) for k, d in enumerate(DAYS)]), [""], [[0, 0], [1, -1]], "",
    ),
    "semicolons and commas": (
        lines("ds;y", [(d, f"{k},5") for k, d in enumerate(DAYS)], ";"), [""], [[0.5], [1.5]], "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", TABLES)
def test_without_options(name, packed, tmp_path):
    text, names, first, told = TABLES[name]
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    panel = SeriesSettings().read(path)
    assert [one.name for one in panel.series] == names
    for one in panel.series:
        np.testing.assert_array_equal(one.values[:2], first)
        assert len(one) == 9
    assert panel.told == told


def test_what_is_named_is_not_guessed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(TABLES["Nixtla"][0])
    panel = SeriesSettings(series_column="unique_id", value_columns="y").read(path)
    assert ([one.name for one in panel.series], panel.told) == (["A", "B"], "")
    with pytest.raises(InputError, match="unique_id: expected a finite number"):
        SeriesSettings(time_column="ds").read(path)


def test_numbers_above_a_column_are_no_name(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("1\n2\n3\n")
    with pytest.raises(InputError, match="expected a column of times"):
        SeriesSettings().read(path)


def test_it_is_said_and_frames_are_read_alike(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "t.csv"
    text, _, _, told = TABLES["Nixtla"]
    path.write_text(text)
    model = recurra.Forecaster(horizon=2, lookback=3, hidden=4, progress=False)
    model.fit(path, steps=1)
    assert told in model.fit_result_.notes
    config = json.loads((model.save(tmp_path / "m") / "config.json").read_text())
    assert told in config["training"]["notes"]
    frame = pandas.read_csv(path)
    for source in (path, frame):
        assert [one.name for one in model.predict(source)] == ["A", "B"]


def table(times):
    return lines("ds,y", [(time, k) for k, time in enumerate(times)])


WORK = [f"2024-01-{k:02d}" for k in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12)]
MONTHS = [f"2024-{k:02d}-01" for k in range(1, 10)]
SPARSE = ["2024-01-01T00:00", "2024-01-01T02:00", "2024-01-01T04:00", "2024-01-01T06:00"]

#: Times, the step that is named, how many steps there are then, and the time after them.
NAMED = {
    "days that look like days of work": (WORK, "D", 12, "2024-01-13"),
    "days of work where none is left out": (WORK[:5], "B", 5, "2024-01-08"),
    "every hour, though each second is missing": (SPARSE, "h", 7, "2024-01-01T07:00"),
    "a single time": (["2024-01-31"], "ME", 1, "2024-02-29"),
    "31 days and the month": (["2024-01-31", "2024-02-29"], "ME", 2, "2024-03-31"),
    "months": (MONTHS, "MS", 9, "2024-10-01"),
    "whole seconds in milliseconds": (
        ["2024-01-01T00:00:00", "2024-01-01T00:00:01"], "500ms", 3, "2024-01-01T00:00:01.5",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_the_step_that_is_named(name, tmp_path):
    times, freq, count, after = NAMED[name]
    path = tmp_path / "t.csv"
    path.write_text(table(times))
    panel = SeriesSettings(freq=freq).read(path)
    (one,) = panel.series
    assert len(one) == count
    assert panel.times(one, count + 1)[-1] == np.datetime64(after)


#: What is read, the step that is named, and what is said.
CONTRADICTED = {
    "hours of days": (table(SPARSE), "D", "one 2 hours by themselves"),
    "weekends": (table(DAYS), "B", "2 of 9 that are not, the first 2024-01-06"),
    "month ends of firsts": (table(MONTHS), "ME", "expected times of one month end"),
    "firsts of month ends": (table(["2024-01-31", "2024-02-29"]), "MS", "the first 2024-01-31"),
    "another weekday": (table(["2024-01-01", "2024-01-08"]), "W-SUN", "the first 2024-01-01"),
    "one series of two": (
        lines("unique_id,ds,y", [("A", d, 1) for d in WORK] + [("B", "2024-01-06", 1)]),
        "B", "1 of 1 that are not, the first 2024-01-06",
    ),
    "numbers": (table(range(9)), "D", "expected dates, received numbers"),
    "values alone": (lines("y", [(k,) for k in range(9)]), "D", "expected dates, received numbers"),
    "a row a series": (lines("id,1,2,3", [("a", 1, 2, 3), ("b", 1, 2, 3)]), "D", "expected dates"),
    "no step": (table(DAYS), "fortnight", "freq: expected one of us, ms, s"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTED)
def test_a_step_that_the_data_contradict(name, tmp_path):
    text, freq, said = CONTRADICTED[name]
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        SeriesSettings(freq=freq).validate().read(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="freq 'D': expected data with dates"):
        SeriesSettings(freq="D").read(np.arange(9.0))


@pytest.mark.parametrize(
    ("freq", "told"),
    [("D", ""), ("h", "freq 'h' has 193 steps of one hour for 9 values"), (None, "")],
)
def test_steps_that_hardly_have_values_are_told(freq, told, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(table(DAYS))
    assert SeriesSettings(freq=freq).read(path).told == told


def test_a_model_keeps_the_step_that_was_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(table(WORK))
    model = recurra.Forecaster(horizon=2, lookback=4, hidden=4, freq="D", steps=2, progress=False)
    model.fit(path)
    model.save(tmp_path / "model")
    (told,) = recurra.load(tmp_path / "model").predict(path)
    assert [str(time)[:10] for time in told.times] == ["2024-01-13", "2024-01-14"]
    path.write_text(table(SPARSE))
    with pytest.raises(InputError, match="freq 'D'"):
        recurra.load(tmp_path / "model").predict(path)
