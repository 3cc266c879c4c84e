"""Times as people write them: each layout read, its grid found, the next times written alike."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from recurra.data.dates import read_column
from recurra.data.timestamps import ANCHORS, Step, find_step
from recurra.errors import InputError
from recurra.tasks.forecaster.forecast import presented
from recurra.tasks.forecaster.series import read_series


def days(first, count, every=1):
    return [date.fromisoformat(first) + timedelta(days=every * k) for k in range(count)]


def ends(year, month, count, every=1):
    """The last days of months, by the standard library: the day before the next month begins."""
    months = [month + every * k for k in range(count)]
    return [date(year + m // 12, m % 12 + 1, 1) - timedelta(days=1) for m in months]


def worked(day):
    while day.weekday() > 4:
        day -= timedelta(days=1)
    return day


def berlin(day):
    summer = date(2024, 3, 31) < day <= date(2024, 10, 27)
    return f"{day}T00:00:00{'+02:00' if summer else '+01:00'}"


def hours(count, minutes=60):
    return [datetime(2024, 1, 31, 20) + timedelta(minutes=minutes * k) for k in range(count)]


#: Name: all times of a file and of what follows, the step, the season. The last three are due.
GRIDS = {
    "month ends": (ends(2015, 1, 40), "month end", 12),
    "quarter ends": (ends(2015, 3, 20, 3), "quarter end", 4),
    "year ends": ([date(y, 12, 31) for y in range(1990, 2010)], "year end", 1),
    "ends of February": ([e for e in ends(2000, 1, 200) if e.month == 2], "year end", 1),
    "last business days": (
        [worked(e) for e in ends(2015, 1, 40)], "month, on its last business day", 12,
    ),
    "business days": ([d for d in days("2024-01-01", 40) if d.weekday() < 5], "business day", 5),
    "weeks": (days("2024-01-07", 20, 7), "week", 52),
    "days": (days("2024-02-20", 20), "day", 7),
    "the fifteenth": ([date(2023 + k // 12, k % 12 + 1, 15) for k in range(20)], "month", 12),
    "day 30": (
        [min(date(e.year, e.month, min(30, e.day)), e) for e in ends(2023, 1, 20)],
        "month, on day 30", 12,
    ),
    "local midnights": (list(map(berlin, days("2024-02-01", 60))), "day", 7),
    "local midnights, back": (list(map(berlin, days("2024-10-01", 60))), "day", 7),
    "hours in summer time": (
        [f"{t:%Y-%m-%dT%H:%M}+0{1 + (k >= 3)}:00" for k, t in enumerate(
            [datetime(2024, 3, 30, 23) + timedelta(hours=k + (k >= 3)) for k in range(9)])],
        "hour", 24,
    ),
    "day/month": ([f"{d:%d/%m/%Y}" for d in days("2024-01-09", 20)], "day", 7),
    "month/day": ([f"{d:%m/%d/%Y}" for d in days("2024-01-09", 20)], "day", 7),
    "no zeros": ([f"{d.day}.{d.month}.{d.year}" for d in days("2024-01-25", 20)], "day", 7),
    "dots and minutes": ([f"{t:%d.%m.%Y %H:%M}" for t in hours(30, 15)], "15 minutes", 96),
    "AM and PM": ([f"{t:%m/%d/%Y %I:%M %p}" for t in hours(20)], "hour", 24),
    "64 Hz": (
        [f"{datetime(2024, 1, 1) + timedelta(microseconds=15625 * k):%Y-%m-%d %H:%M:%S.%f}"
         for k in range(90)],
        "15625 microseconds", 1,
    ),
    "half seconds": (
        [f"2024-01-01T00:00:{k // 2:02d}.{k % 2 * 5}" for k in range(20)], "500 milliseconds", 1,
    ),
    "UTC": ([f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in hours(9)], "hour", 24),
    "names": ([f"{d:%d-%b-%Y}" for d in days("2024-01-25", 20)], "day", 7),
    "long names": ([f"{d:%B} {d.day}, {d.year}" for d in days("2024-01-25", 20)], "day", 7),
    "capitals": ([f"{d:%d-%b-%Y}".upper() for d in days("2024-01-25", 20)], "day", 7),
    "1991 Jul": ([f"{d:%Y %b}" for d in ends(1991, 7, 20)], "month", 12),
    "Jul-91": ([f"{d:%b-%y}" for d in ends(1991, 7, 120)], "month", 12),
    "31-Jul-91": ([f"{d:%d-%b-%y}" for d in ends(1998, 7, 40)], "month end", 12),
    "Jul 1991": ([f"{d:%b %Y}" for d in ends(1991, 7, 20)], "month", 12),
    "1990Q3": ([f"{d.year}Q{(d.month + 2) // 3}" for d in ends(1990, 9, 20, 3)], "quarter", 4),
    "Q3 1990": ([f"Q{(d.month + 2) // 3} {d.year}" for d in ends(1990, 9, 20, 3)], "quarter", 4),
    "201607": ([f"{d:%Y%m}" for d in ends(2016, 7, 20)], "month", 12),
    "2016M07": ([f"{d:%YM%m}" for d in ends(2016, 7, 20)], "month", 12),
    "ISO weeks": ([f"{d:%G-W%V}" for d in days("2023-12-04", 20, 7)], "week", 52),
    "yyyymmdd": ([f"{d:%Y%m%d}" for d in days("2024-01-25", 20)], "day", 7),
    "basic times": ([f"{t:%Y%m%dT%H%M}" for t in hours(20, 15)], "15 minutes", 96),
    "years": (list(range(1871, 1891)), "year", 1),
    "numbers": (list(range(7, 40, 3)), "3 numbers", 1),
    "numbers like years": (list(range(2990, 3010)), "number", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", GRIDS)
def test_the_next_times_are_written_as_the_file_writes_them(name, tmp_path):
    times, step, season = GRIDS[name]
    path = tmp_path / "a.csv"
    rows = [f'"{time}",{k},{k + 0.5}\n' for k, time in enumerate(times)]
    path.write_text("when,open,close\n" + "".join(rows[:-3]))
    panel = read_series(path)
    (one,) = panel.series
    assert (panel.columns, len(one)) == (("open", "close"), len(times) - 3)
    assert not np.isnan(one.values).any()
    assert (str(panel.step), panel.step.season) == (step, season)
    written = panel.writer.write(panel.times(one, len(times)))
    # Where offsets change, what follows has the last one.
    first = -3 if panel.writer.offset else 0
    assert written[first:] == tuple(map(str, times))[first:]


def test_holidays_are_gaps_in_days_of_work_and_move_the_last_of_a_month(tmp_path):
    path = tmp_path / "a.csv"
    kept = [d for d in days("2024-01-02", 40) if d.weekday() < 5 and d != date(2024, 1, 15)]
    path.write_text("d,y\n" + "".join(f"{d},1\n" for d in kept))
    panel = read_series(path)
    assert str(panel.step) == "business day"
    assert np.flatnonzero(np.isnan(panel.series[0].values[:, 0])).tolist() == [9]
    # The Thursday before Easter.
    easter = {date(2018, 3, 30): date(2018, 3, 29)}
    trading = [easter.get(worked(e), worked(e)) for e in ends(2015, 1, 60)]
    path.write_text("d,y\n" + "".join(f"{d},1\n" for d in trading))
    panel = read_series(path)
    assert str(panel.step) == "month, on its last business day"
    assert len(panel.series[0]) == 60
    assert str(panel.times(panel.series[0], 61)[-1])[:10] == "2020-01-31"


#: Cells, what `--dates` says, and what is told: the place and an option or the way out.
REFUSED = [
    (["01/02/2024", "02/02/2024"], "auto", r"line 2: time '01/02/2024': the day or the month.*"
     r"--dates day-first or --dates month-first"),
    (["13/01/2024", "01/14/2024"], "auto", r"line 3: .* has the month first, other rows the day"),
    (["13/01/2024"], "month-first", "line 2: time '13/01/2024': expected"),
    (["2024-01-01", "1.2.24"], "auto", r"line 3: time '1.2.24': expected an ISO date or time"),
    (["2024-01-01T00:00", "2024-01-02T00:00Z"], "auto", "offset from UTC, as in other rows"),
    (["2024-01-01 25:00"], "auto", "looks like a time that cannot be read.*--dates order"),
    (["primero"], "auto", "looks like a time that cannot be read.*--dates order"),
    (["2024年1月1日"], "auto", "looks like a time that cannot be read.*--dates order"),
    (["0000-01-01"], "auto", "looks like a time that cannot be read"),
    (["10000-01-01"], "auto", "looks like a time that cannot be read"),
    (["1", "9" * 400], "auto", "line 3: time '9999.* …': expected a number of steps"),
    (["1e3"], "unix", "line 2: time '1e3': expected seconds since 1970"),
    (["9" * 17], "unix", "expected seconds since 1970"),
    (["2024-01-01T00:00:00.1234567"], "numbers", "finer than a microsecond"),
    (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-03 01:00"], "auto",
     r"line 5: time 2024-01-03T?.*off the grid of one day .*\(--dates order\)"),
    (["0", "1", "2", "400000000"], "auto", "line 5: time 400000000 comes 399,999,998 steps of one "
     "number after 2 on line 4.*--dates order"),
    ([f"2024-01-01T00:00:{k:02d}" for k in range(50)] + ["2042-01-01T00:00:51"], "auto",
     "line 52: time 2042-01-01T00:00:51 comes 568,080,002 steps of one second after"),
    (["-4611686018427387904", "4611686018427387904"], "auto", "expected|cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "dates", "told"), REFUSED)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_what_is_not_understood_is_refused_in_one_line(cells, dates, told, on_error, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Date,y\n" + "".join(f"{cell},{k}\n" for k, cell in enumerate(cells)))
    if on_error == "skip" and not any(
        sign in told for sign in ("first", "comes", "off the", "looks")
    ):
        return  # a bad row, which may be left out
    with pytest.raises(InputError, match=told) as caught:
        read_series(path, dates=dates, on_error=on_error)
    assert "\n" not in str(caught.value)


def test_what_a_person_says_decides(tmp_path):
    path = tmp_path / "a.csv"

    def read(cells, dates):
        path.write_text("Date,y\n" + "".join(f"{cell},{k}\n" for k, cell in enumerate(cells)))
        panel = read_series(path, dates=dates)
        return str(panel.step), str(panel.series[0].start), panel.series[0].values[:, 0].tolist()

    three = ["01/02/2024", "02/02/2024", "03/02/2024"]
    assert read(three, "day-first") == ("day", "2024-02-01T00:00:00", [0, 1, 2])
    assert read(three, "month-first") == ("month", "2024-01-02T00:00:00", [0, 1, 2])
    assert read(["1704067200", "1704067260"], "unix")[:2] == ("minute", "2024-01-01T00:00:00")
    assert read(["1704067200000", "1704067200250"], "unix-ms")[0] == "250 milliseconds"
    assert read(["1704067200", "1704067260"], "auto")[0] == "60 numbers"  # nobody said so
    assert read(["2001", "2002"], "numbers")[:2] == ("number", "2001")
    assert read(["x", "2024年", "b"], "order") == ("number", "0", [0, 1, 2])


def test_rows_in_order_are_numbered_series_by_series(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,t,y\na,09:31,1\nb,09:31,2\na,09:37,3\na,09:38,4\nb,15:00,5\n")
    panel = read_series(path, series="id", time="t", dates="order")
    assert [one.values[:, 0].tolist() for one in panel.series] == [[1, 3, 4], [2, 5]]


def test_dates_that_could_be_confused_are_forecast_as_iso(tmp_path):
    cells = [f"{d:%d/%m/%Y}" for d in days("2024-01-20", 9)]
    writer = read_column(cells).writer
    times = np.array(["2024-02-01"], "datetime64[s]")
    assert writer.order == "day-first"
    assert presented(writer).write(times) == ("2024-02-01",)
    assert presented(writer, "file").write(times) == ("01/02/2024",)
    other = read_column([f"{d:%d %b %Y}" for d in days("2024-01-20", 9)]).writer
    assert presented(other).write(times) == ("01 Feb 2024",)
    assert presented(other, "iso").write(times) == ("2024-02-01",)


def test_a_short_file_has_the_step_that_is_expected(tmp_path):
    path = tmp_path / "a.csv"
    for cells, step in (
        (["2024-01-05", "2024-01-08"], Step(1, "business")),
        (["2024-01-31"], Step(1, "month", "end")),
        (["2024-02-29"], Step(3600, "second")),
        ([str(d) for d in days("2024-01-01", 30) if d.weekday() < 5], Step(86400, "second")),
    ):
        path.write_text("d,y\n" + "".join(f"{cell},1\n" for cell in cells))
        assert read_series(path, like=step).step == step
    path.write_text("d,y\n" + "".join(f"{d},1\n" for d in days("2024-01-01", 9)))
    assert str(read_series(path, like=Step(3600, "second")).step) == "day"  # not hours with gaps


def test_the_day_is_midnight_to_midnight_where_a_model_of_before_counted_in_utc(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("d,y\n" + "".join(f"{d}T00:00+02:00,1\n" for d in days("2024-06-01", 9)))
    assert str(read_series(path).series[0].start) == "2024-06-01T00:00:00"
    assert str(read_series(path, utc=True).series[0].start) == "2024-05-31T22:00:00"


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_places_in_months_are_counted_and_found(anchor, count):
    step = Step(count, "month", anchor)
    start = np.datetime64("2021-01-29T06:30:00" if anchor else "2021-01-12T06:30:00", "s")
    times = step.after(start, 40)
    np.testing.assert_array_equal(step.index(times), np.arange(40))
    found = find_step(times)
    assert found.count == count
    np.testing.assert_array_equal(found.after(times[0], 40), times)
    assert Step.from_json(step.to_json()) == step
    moved = times.copy()
    moved[5] -= np.timedelta64(9, "D")
    assert step.index(moved)[5] % 1 != 0


def test_random_times_come_back_as_they_were_written():
    """Each layout with random times, a thousand in all: what is written is read as the same."""
    random = np.random.default_rng(0)
    for name, (times, *_) in GRIDS.items():
        column = read_column([str(time) for time in times])
        if column.numbers or "offset" in name or column.writer.offset is not None:
            continue
        for moment in random.integers(0, 4_102_444_800, 40):
            (text,) = column.writer.write(np.array([moment], "datetime64[s]"))
            again = read_column([text], how=column.writer.order or "auto")
            (back,) = again.writer.write(np.array([again.moments[0][0]], "datetime64[us]"))
            assert back == text or not column.writer.style.get("padded"), name
