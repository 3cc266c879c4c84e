"""Calendar features and steps."""

import numpy as np
import pytest

from recurra.data.timestamps import CALENDAR, Step, calendar_features, find_step
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
