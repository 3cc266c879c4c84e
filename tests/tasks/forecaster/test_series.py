"""Readers of series: each layout against the same numbers, and what is said of bad files."""

from pathlib import Path

import numpy as np
import pytest

from recurra.errors import InputError
from recurra.tasks.forecaster.panel import Panel, filled
from recurra.tasks.forecaster.series import read_series

HOURS = ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 03:00"]


def write(tmp_path: Path, text: str, name: str = "series.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


LONG = "id,time,load,price,holiday,site\n" + "".join(
    f"{name},{time},{10 * k + i},{i / 2},{i % 2},{site}\n"
    for k, (name, site) in enumerate([("a", "north"), ("b", "south")])
    for i, time in enumerate(HOURS)
)


def test_long_reads_ids_values_and_covariates(tmp_path):
    panel = read_series(
        write(tmp_path, LONG),
        series="id", time="time", values=["load"], known=["price", "holiday"], static=["site"],
    )  # fmt: skip
    assert [one.name for one in panel.series] == ["a", "b"]
    assert panel.columns == ("load",)
    assert str(panel.step) == "hour"
    assert panel.step.season == 24
    first, second = panel.series
    assert first.values[:, 0].tolist() == [0, 1, 2, 3]
    assert second.values[:, 0].tolist() == [10, 11, 12, 13]
    assert first.known.tolist() == [[0, 0], [0.5, 1], [1, 0], [1.5, 1]]
    assert (first.static, second.static) == (("north",), ("south",))
    assert [str(t) for t in panel.times(first, 5)[-2:]] == [
        "2024-01-01T03:00:00",
        "2024-01-01T04:00:00",
    ]


def test_tsv_and_parquet_say_the_same(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    csv = pytest.importorskip("pyarrow.csv")
    source = write(tmp_path, LONG)
    write(tmp_path, LONG.replace(",", "\t"), "series.tsv")
    parquet.write_table(csv.read_csv(source), tmp_path / "series.parquet")
    options = {"series": "id", "time": "time", "static": ["site"], "known": ["holiday"]}
    panels = [read_series(tmp_path / f"series.{k}", **options) for k in ("csv", "tsv", "parquet")]
    for panel in panels[1:]:
        assert panel.columns == panels[0].columns == ("load", "price")
        for mine, first in zip(panel.series, panels[0].series, strict=True):
            np.testing.assert_array_equal(mine.values, first.values)
            assert (mine.start, mine.static) == (first.start, first.static)


def test_rows_with_covariates_alone_are_the_future(tmp_path):
    text = "time,y,x\n" + "".join(f"{t},{i if i < 2 else ''},{i}\n" for i, t in enumerate(HOURS))
    (one,) = read_series(write(tmp_path, text), known=["x"]).series
    assert len(one) == 2
    assert one.known[:, 0].tolist() == [0, 1, 2, 3]


def test_wide_rows_are_ragged(tmp_path):
    text = 'id,V1,V2,V3\n"H1","1","2","3"\n"H2","4","",""\n"H3",5,,7\n'
    panel = read_series(write(tmp_path, text))
    assert [one.values[:, 0].tolist() for one in panel.series[:2]] == [[1, 2, 3], [4]]
    np.testing.assert_array_equal(panel.series[2].values[:, 0], [5, np.nan, 7])


@pytest.mark.parametrize(
    ("stamps", "step", "last"),
    [
        (["2016-07-01 00:00:00", "2016-07-01 01:00:00"], "hour", "2016-07-01T02:00:00"),
        (["2016-07-01T00:15", "2016-07-01T00:30"], "15 minutes", "2016-07-01T00:45:00"),
        (["2016-07-01T02:00+02:00", "2016-07-01T01:00Z"], "hour", "2016-07-01T02:00:00"),
        (["2016-02-28", "2016-02-29"], "day", "2016-03-01T00:00:00"),
        (["1949-11", "1949-12"], "month", "1950-01-01T00:00:00"),
        (["1821", "1822"], "year", "1823-01-01T00:00:00"),
        (["19580329", "19580405"], "week", "1958-04-12T00:00:00"),
        (["Nov-1-1995", "Dec-1-1995"], "month", "1996-01-01T00:00:00"),
        (["1959Q3", "1959Q4"], "quarter", "1960-01-01T00:00:00"),
        (["2016/07/01 00:00", "2016/07/01 06:00"], "6 hours", "2016-07-01T12:00:00"),
        (["7", "8"], "number", "9"),
        (["2020-01-31", "2020-03-31"], "60 days", "2020-05-30T00:00:00"),
    ],
)
def test_layouts_of_time(tmp_path, stamps, step, last):
    panel = read_series(write(tmp_path, "t,y\n" + "".join(f'"{s}",1\n' for s in stamps)))
    (one,) = panel.series
    if step == "60 days":  # the day of the month agrees: two months
        assert str(panel.step) == "2 months, at their end"
        return
    assert str(panel.step) == step
    assert str(panel.times(one, 3)[-1]) == last


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("m4-hourly/Hourly-train.csv", {}, (414, 700, 605.0, 1)),
        ("etth1/ETTh1.csv", {}, (1, 17420, 5.827000141143799, 24)),
        ("small-series/Airline.csv", {}, (1, 144, 112, 12)),
        ("small-series/Lynx.csv", {}, (1, 114, 269, 1)),
        ("small-series/co2.csv", {}, (1, 2284, 316.1, 52)),
        ("small-series/elec_equip.csv", {}, (1, 257, 66.19, 12)),
        ("small-series/elnino.csv", {}, (1, 732, 23.11, 12)),
        ("small-series/macrodata.csv", {"time": ("year", "quarter")}, (1, 203, 2710.349, 4)),
        ("small-series/nile.csv", {}, (1, 100, 1120, 1)),
        ("small-series/sunspots.csv", {}, (1, 309, 5, 1)),
    ],
)
def test_real_files(data_dir, name, options, expected):
    panel = read_series(data_dir / name, **options)
    first = panel.series[0]
    found = (len(panel), len(first), first.values[0, 0], panel.step.season)
    assert found == expected
    if name.startswith("m4"):
        raw = (data_dir / name).read_text().splitlines()[7].replace('"', "").split(",")
        numbers = [float(cell) for cell in raw[1:] if cell]
        assert panel.series[6].name == raw[0]
        assert panel.series[6].values[:, 0].tolist() == numbers


def test_calendar_of_white_space(data_dir):
    panel = read_series(
        data_dir / "small-series/sunspots_monthly.dat",
        delimiter=" ", skip_lines=2, on_error="skip",
    )  # fmt: skip
    assert panel.series[0].values[:3, 0].tolist() == [58.0, 62.6, 70.0]
    assert str(panel.times(panel.series[0])[12]) == "1750-01-01T00:00:00"
    assert panel.skipped


GAPS = f"t,y\n{HOURS[0]},1\n{HOURS[1]},NA\n{HOURS[3]},4\n"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("keep", [1, np.nan, np.nan, 4]), ("previous", [1, 1, 1, 4]), ("linear", [1, 2, 3, 4])],
)
def test_missing_values_and_times(tmp_path, rule, expected):
    # The gap of one hour is the commonest only where another says so.
    text = GAPS + "2024-01-01 04:00,5\n"
    (one,) = read_series(write(tmp_path, text), missing=rule).series
    np.testing.assert_array_equal(one.values[:4, 0], expected)


def test_missing_is_an_error_where_asked(tmp_path):
    text = GAPS + "2024-01-01 04:00,5\n"
    with pytest.raises(InputError, match="y is missing at 2024-01-01T01:00:00"):
        read_series(write(tmp_path, text), missing="error")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("t,y\n2024-01-01,1\n2024-01-02,x\n", {}, "line 3: y: expected a finite number"),
        ("t,y\n2024-01-01,1\n2024-01-02,inf\n", {}, "line 3: y: expected a finite number"),
        ("t,y\n2024-01-01,1\n01.02.2024,2\n", {}, "line 3: time '01.02.2024': expected an ISO"),
        ("t,y\n2024-01-01,1\n2024-01-01,2\n", {}, "line 3: .*was on line 2 already"),
        ("t,y\n2024-01-01,1\n2024-01-02\n", {}, "line 3: expected 2 cells, received 1"),
        ("t,y\n2024-13-01,1\n", {"time": "t"}, "line 2: time '2024-13-01': expected an ISO"),
        (
            "t,y\n2024-01-01 00:00,1\n2024-01-01 01:00,2\n2024-01-01 02:00,3\n2024-01-01 02:30,1\n",
            {},
            "line 5: time .* is off the grid of one hour",
        ),
        ("t,y\n", {}, "expected at least one series, found none"),
        ("", {}, "expected a header and rows, found nothing"),
        ("t,y\n2024-01-01,1\n", {"values": ["z"]}, "no column z; there are 't', 'y'"),
        ("t,y,x\n2024-01-01,1,\n", {"known": ["x"]}, "line 2: a known covariate is missing"),
        ("id,V1\na,1\na,2\n", {}, "line 3: series 'a': it was on an earlier row"),
        (
            "id,t,y,s\na,2024-01-01,1,n\na,2024-01-02,1,m\n",
            {"series": "id", "static": ["s"]},
            "line 3: series 'a': static columns change",
        ),
    ],
)
def test_bad_files_say_where(tmp_path, text, options, message):
    with pytest.raises(InputError, match=message) as caught:
        read_series(write(tmp_path, text), **options)
    assert "\n" not in str(caught.value)
    assert "series.csv" in str(caught.value)


def test_good_rows_are_kept_where_bad_ones_are_skipped(tmp_path):
    text = "t,y\n2024-01-01,1\n2024-01-02,oops\n2024-01-03,3\n2024-01-03,4\n2024-01-04,5\n"
    panel = read_series(write(tmp_path, text), on_error="skip")
    np.testing.assert_array_equal(panel.series[0].values[:, 0], [1, np.nan, 3, 5])
    assert len(panel.skipped) == 2
    assert "line 3" in panel.skipped[0]
    assert "line 5" in panel.skipped[1]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.csv"):
        read_series(tmp_path / "nothing.csv")


def test_panel_of_arrays_and_what_follows():
    panel = Panel.of({"a": [1.0, 2.0], "b": [3.0]})
    longer = panel.followed_by(Panel.of({"b": [4.0], "a": [5.0]}))
    assert [one.values[:, 0].tolist() for one in longer.series] == [[1, 2, 5], [3, 4]]
    assert [len(one) for one in longer.without_last(1).series] == [2, 1]
    assert Panel.of([1.0, 2.0, 3.0]).series[0].values.tolist() == [[1], [2], [3]]
    with pytest.raises(InputError, match="series 'a', found none"):
        panel.followed_by(Panel.of({"b": [4.0]}))
    with pytest.raises(InputError, match="more than the 2 steps"):
        panel.without_last(2)
    with pytest.raises(InputError, match="expected finite numbers"):
        Panel.of({"a": [1.0, np.inf]})
    with pytest.raises(InputError, match="expected one width"):
        Panel.of([np.ones((3, 2)), np.ones(3)])


def test_what_follows_must_go_on_in_time(tmp_path):
    first = read_series(write(tmp_path, "t,y\n2024-01-01,1\n2024-01-02,2\n"))
    later = read_series(write(tmp_path, "t,y\n2024-01-04,1\n2024-01-05,2\n"))
    with pytest.raises(InputError, match="go on at 2024-01-03T00:00:00, it begins at 2024-01-04"):
        first.followed_by(later)


def test_filled_looks_back_only():
    nan = np.nan
    values = np.array([[nan, 1.0], [2.0, nan], [nan, nan], [4.0, 5.0]])
    np.testing.assert_array_equal(filled(values), [[2, 1], [2, 1], [2, 1], [4, 5]])
    np.testing.assert_array_equal(filled(values, np.array([9.0, 9.0]))[0], [9, 1])
