"""Tables of series that would lose a row or be read in a wrong order: refused in clear words."""

import datetime

import numpy as np
import pytest

from recurra.data.frames import series_source
from recurra.errors import InputError
from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.series import read_series

DAYS = [str(datetime.date(2024, 1, 1) + datetime.timedelta(days=k)) for k in range(12)]
ROWS = [f"{day},{k}.5" for k, day in enumerate(DAYS)]
WIDE = ["a,1.5,2.5,3.5,4.5", "b,4.5,3.5,2.5,1.5"]

#: The lines of a file, options, and what the one error says of it.
REFUSED = {
    "dates without names": (
        ROWS, {}, r"names the columns, received '2024-01-01', '0.5'.*add a line",
    ),
    "numbers without names": (["0,10.5", "1,11.5", "2,12.5"], {}, "names the columns"),
    "wide without names": (WIDE, {}, "names the columns"),
    "two columns of values": ([f"{row},3" for row in ROWS], {}, "names the columns"),
    "one column": (["y", "1.5", "2.5"], {}, r"times and one of values.*--dates order"),
    "dates from the right": (
        ["id,2024-01-03,2024-01-02,2024-01-01,2023-12-31", *WIDE], {},
        r"order of their times, received '2024-01-02' after '2024-01-03'",
    ),
    "a month left out": (
        ["id,2024-01,2024-02,2024-04,2024-05", *WIDE], {}, r"received '2024-04' after '2024-02'",
    ),
    "an id": (
        ["unique_id,ds,y", *(f"a,{row}" for row in ROWS)], {},
        r"unique_id: .* received 'a': name the columns.*--series-column",
    ),
    "a column of words": (
        ["ds,y,sky", *(f"{row},clear" for row in ROWS)], {}, r"sky: .*--static-columns",
    ),
    "a stray word": (
        ["ds,y", *ROWS[:5], f"{DAYS[5]},broken", *ROWS[6:]], {},
        r"line 7: y: .*'broken'.*--skip-bad",
    ),
    "years and quarters": (
        ["year,quarter,y", "2001,1,5", "2001,2,6"], {}, "line 3: .*--time-column year,quarter",
    ),
    "a time twice": (["ds,y", *ROWS, ROWS[3]], {}, r"line 14: time 2024-01-04: .*line 5.*once"),
}  # fmt: skip

#: What is read, though it looks alike: the lines, options and the values of the first series.
READ = {
    "numbered columns": (["0,1", *[f"{d},{k}" for k, d in enumerate(DAYS)]], {}, list(range(12))),
    "numbered columns of a wide table": (["id,1,2,3,4", *WIDE], {}, [1.5, 2.5, 3.5, 4.5]),
    "years as columns": (["id,2001,2002,2003,2004", *WIDE], {}, [1.5, 2.5, 3.5, 4.5]),
    "months as columns": (["id,2024-01,2024-02,2024-03,2024-04", *WIDE], {}, [1.5, 2.5, 3.5, 4.5]),
    "columns numbered as they come": (
        ["id,2024-01,2024-02,2024-04,2024-05", *WIDE],
        {"layout": "wide", "dates": "order"},
        [1.5, 2.5, 3.5, 4.5],
    ),
    "one column by rows": (["y", "1.5", "2.5"], {"dates": "order"}, [1.5, 2.5]),
}


def write(folder, lines):
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    lines, options, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as caught:
        read_series(write(tmp_path, lines), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name, tmp_path):
    lines, options, expected = READ[name]
    panel = read_series(write(tmp_path, lines), **options)
    assert panel.series[0].values[:, 0].tolist() == expected


def test_hidden_entries_of_arrays_are_missing():
    hidden = np.ma.masked_greater(np.array([1.0, 1e6, 2.0]), 100)
    expected = [1.0, None, 2.0]
    for source in (
        hidden,
        hidden[:, None],
        [hidden],
        {"a": hidden},
        np.ma.masked_equal([1, 9, 2], 9),
    ):
        values = Panel.of(series_source(source)).series[0].values[:, 0]
        assert [None if np.isnan(v) else v for v in values] == expected
    assert Panel.of([1.0, None, 2.0]).series[0].values[1, 0] != 2.0


def test_flagged_tensors_are_resolved():
    import torch

    z = torch.tensor([1 + 2j, 3 - 4j])
    for tensor in (z.conj().imag, z.conj().real, torch._neg_view(torch.tensor([2.0, -4.0]))):
        values = Panel.of(series_source(tensor)).series[0].values[:, 0]
        np.testing.assert_array_equal(values, tensor.clone().numpy())


def test_indexes_of_levels_and_dates_as_values_are_refused():
    import pandas as pd

    index = pd.MultiIndex.from_product([["a", "b"], pd.date_range("2024-01-01", periods=6)])
    one = pd.Series(np.arange(12.0), index=index)
    for source in (one, one.to_frame("y")):
        with pytest.raises(InputError, match=r"2 levels.*reset_index.*series_column"):
            series_source(source)
    with pytest.raises(InputError, match="expected numbers"):
        Panel.of(pd.date_range("2024-01-01", periods=6).to_numpy())
