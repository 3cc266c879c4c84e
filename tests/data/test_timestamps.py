"""Calendar features and steps."""

import numpy as np
import pytest

from recurra.data.timestamps import CALENDAR, Frequency, Step, calendar_features, find_step
from recurra.errors import InputError


def test_calendar_features_follow_the_calendar():
    times = np.datetime64("2024-02-26T00:00:00") + np.arange(24 * 9) * np.timedelta64(1, "h")
    features = calendar_features(times, CALENDAR)
    assert features.shape == (len(times), 2 * len(CALENDAR))
    by_name = {
        name: (features[:, k], features[:, k + len(CALENDAR)]) for k, name in enumerate(CALENDAR)
    }
    dates = [time.item() for time in times]
    for name, cycle in {
        "minute": [d.minute / 60 for d in dates],
        "hour": [d.hour / 24 for d in dates],
        "weekday": [d.weekday() / 7 for d in dates],
        "monthday": [(d.day - 1) / 31 for d in dates],
        "yearday": [(d.timetuple().tm_yday - 1) / 366 for d in dates],
    }.items():
        np.testing.assert_allclose(
            by_name[name][0], np.sin(2 * np.pi * np.array(cycle)), atol=1e-12
        )
        np.testing.assert_allclose(
            by_name[name][1], np.cos(2 * np.pi * np.array(cycle)), atol=1e-12
        )


def test_numbers_have_no_calendar():
    with pytest.raises(InputError, match="expected dates"):
        calendar_features(np.arange(3), ["hour"])


@pytest.mark.parametrize("step", [Step(1, "month"), Step(3, "month"), Step(3600, "second")])
def test_steps_count_what_they_make(step):
    times = step.after(np.datetime64("2023-11-01T00:00:00", "s"), 30)
    np.testing.assert_array_equal(step.index(times), np.arange(30))
    assert find_step(times) == step


def test_times_off_the_grid_have_no_whole_index():
    times = np.array(["2024-01-01", "2024-02-01", "2024-03-02"], "datetime64[s]")
    assert Step(1, "month").index(times)[2] % 1 != 0


#: Aliases, a time of theirs, and one that is none.
ALIASES = [
    ("us", "2024-01-31T10:00:00.000001", None),
    ("250ms", "2024-01-31T10:00:00.000250", None),
    ("s", "2024-01-31T10:00:01", None),
    ("15min", "2024-01-31T10:15", None),
    ("h", "2024-01-31T10:00", None),
    ("2h", "2024-01-31T10:00", None),
    ("D", "2024-02-28", None),
    ("B", "2024-02-28", "2024-03-02"),
    ("W", "2024-02-28", None),
    ("W-SUN", "2024-02-25", "2024-02-26"),
    ("2W-MON", "2024-02-26", "2024-02-25"),
    ("MS", "2024-02-01", "2024-02-02"),
    ("ME", "2024-02-29", "2024-02-28"),
    ("2MS", "2024-02-01", "2024-02-02"),
    ("BMS", "2024-06-03", "2024-06-01"),
    ("BME", "2024-05-31", "2024-06-01"),
    ("QS", "2024-04-01", "2024-04-02"),
    ("QS-OCT", "2024-04-01", "2024-05-01"),
    ("QE", "2024-06-30", "2024-06-01"),
    ("QE-FEB", "2024-05-31", "2024-06-30"),
    ("BQS", "2024-04-01", "2024-03-30"),
    ("BQE-DEC", "2024-06-28", "2024-05-31"),
    ("YS", "2024-01-01", "2024-01-02"),
    ("YS-APR", "2024-04-01", "2024-01-01"),
    ("YE", "2024-12-31", "2024-12-30"),
    ("YE-JUN", "2024-06-30", "2024-12-31"),
    ("BYS", "2024-01-01", "2024-01-06"),
    ("BYE", "2024-12-31", "2024-12-20"),
]


@pytest.mark.parametrize(("alias", "start", "other"), ALIASES, ids=[row[0] for row in ALIASES])
def test_a_named_step_is_that_of_pandas(alias, start, other):
    pandas = pytest.importorskip("pandas")
    named = Frequency.of(alias)
    unit = "us" if named.step.unit == "microsecond" else "s"
    first = np.datetime64(start, unit)
    # pandas' plain weeks are those of Sundays; ours begin where the first of them does.
    theirs = "W-WED" if alias == "W" else alias
    due = pandas.date_range(start, periods=30, freq=theirs).to_numpy().astype(f"datetime64[{unit}]")
    np.testing.assert_array_equal(named.step.after(first, 30), due)
    assert not named.off(due).any()
    if other is not None:
        assert named.off(np.array([other], f"datetime64[{unit}]")).all()


@pytest.mark.parametrize(
    "alias",
    [
        "",
        "H",
        "M",
        "ns",
        "0D",
        "-1D",
        "1.5h",
        "D-MON",
        "W-JAN",
        "QS-SUN",
        "MS-JAN",
        "9" * 9 + "YS",
        "dd",
    ],
)
def test_a_step_of_no_such_name(alias):
    with pytest.raises(InputError, match="freq: expected one of us, ms, s, min, h, D, B, W, MS"):
        Frequency.of(alias)
