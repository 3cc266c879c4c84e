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
