"""Intervals of short series hold what they say: the factor, where it applies, and coverage."""

import math
from pathlib import Path

import numpy as np
import pytest

import recurra
from recurra.errors import FormatError, InputError
from recurra.tasks.forecaster.calibration import distances, factor, width_of
from recurra.tasks.forecaster.described import described

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
QUICK = {"threads": 1, "progress": False}


@pytest.mark.parametrize("count", [1, 5, 9, 10, 19, 99])
def test_the_factor_holds_the_share_of_a_split_conformal_interval(count):
    """By enumeration: of N + 1 exchangeable distances each is the next one once."""
    far = np.random.default_rng(count).exponential(size=count + 1) + 1
    held = [far[k] <= factor(np.delete(far, k), 0.9) for k in range(count + 1)]
    if count >= 9:  # below, no finite factor has the share
        assert np.mean(held) >= 0.9
        assert np.mean(held) <= 0.9 + 1 / (count + 1)
    else:
        assert sum(held) == count
    assert factor(far / 100, 0.9) == 1  # intervals are never made narrower
    assert factor(np.array([np.nan, np.inf]), 0.9) == 1


@pytest.mark.parametrize("output", ["quantiles", "student_t"])
def test_a_wider_distribution_has_its_quantiles_so_much_further_out(output):
    numbers = np.random.default_rng(0).normal(size=(7, 5 if output == "quantiles" else 3))
    one, wide = (described(output, LEVELS, width=width) for width in (1.0, 3.0))
    assert one.widened(numbers) is numbers
    before = one.quantiles(numbers, LEVELS)
    after = wide.quantiles(wide.widened(numbers), LEVELS)
    middle = before[:, 2:3]
    np.testing.assert_allclose(after - middle, 3 * (before - middle), atol=1e-9)
    outside = before[:, 4] + (before[:, 4] - before[:, 2])
    np.testing.assert_allclose(distances(one, numbers, outside), 2)
    np.testing.assert_allclose(distances(one, numbers, before[:, 0]), 1)
    np.testing.assert_allclose(distances(wide, wide.widened(numbers), before[:, 0]), 1 / 3)


def walk(count, seed=0):
    return np.random.default_rng(seed).normal(size=count).cumsum()


def test_mean_and_median_stay_and_the_rest_is_as_wide_as_the_model_says(tmp_path):
    values = np.exp(np.arange(80) / 20) * (2 + np.sin(np.arange(80)))  # grows beyond what was seen
    how = {"horizon": 4, "hidden": 8, "season": 1, **QUICK}
    wide = recurra.Forecaster(**how, steps=60).fit(values)
    one = recurra.Forecaster(**how, steps=60, calibrate=False).fit(values)
    width = wide.files.config["widening"]
    assert width > 1
    assert "widening" not in one.files.config
    (a,), (b,) = wide.predict(values), one.predict(values)
    np.testing.assert_array_equal(a.mean, b.mean)
    np.testing.assert_array_equal(a.median, b.median)
    middle = b.median[..., None]
    np.testing.assert_allclose(
        a.quantiles - middle, width * (b.quantiles - middle), rtol=1e-3, atol=1e-3
    )
    drawn = [m.predict(values, samples=400)[0].samples for m in (wide, one)]
    np.testing.assert_allclose(
        drawn[0] - b.median, width * (drawn[1] - b.median), rtol=1e-4, atol=1e-5
    )
    path = wide.save(tmp_path / "m")
    np.testing.assert_array_equal(recurra.load(path).predict(values)[0].quantiles, a.quantiles)


def test_many_windows_are_not_calibrated_unless_asked_for():
    values = walk(700)
    how = {"horizon": 4, "lookback": 8, "hidden": 4, "season": 1, "steps": 2, **QUICK}
    assert "widening" not in recurra.Forecaster(**how).fit(values).files.config
    asked = recurra.Forecaster(**how, calibrate=True, valid_steps=100).fit(values)
    assert asked.fit_result_.steps == 2


@pytest.mark.parametrize(
    "settings", [{"output": "point"}, {"mode": "autoregressive"}, {"levels": "0.1,0.3"}]
)
def test_what_has_no_interval_to_widen_says_so(settings):
    model = recurra.Forecaster(horizon=4, lookback=8, hidden=4, **settings, **QUICK)
    with pytest.raises(InputError, match="calibrate: expected direct forecasts with quantiles"):
        model.fit(walk(60), steps=1, calibrate=True)
    assert "widening" not in model.fit(walk(60), steps=1).files.config


@pytest.mark.parametrize("wrong", [0.5, "wide", True, None, math.inf])
def test_a_damaged_width_is_told(wrong):
    with pytest.raises(FormatError, match='expected a number "widening" from 1 on'):
        width_of({"widening": wrong}, Path("m"))
    assert width_of({}, Path("m")) == 1


def coverage(values, horizon, held, season=None):
    """The share that 90 % intervals hold, from each origin of the values held out."""
    model = recurra.Forecaster(horizon=horizon, season=season, **QUICK).fit(values, hold_out=held)
    inside = []
    for origin in range(len(values) - held, len(values) - horizon + 1):
        (found,) = model.predict([values[:origin]])
        came = values[origin : origin + horizon, None]
        inside.append((came >= found.quantiles[..., 0]) & (came <= found.quantiles[..., -1]))
    return float(np.mean(inside))


@pytest.mark.timeout(300)
def test_coverage_of_processes_that_are_known():
    rng = np.random.default_rng(0)
    season = 3 * np.sin(2 * np.pi * np.arange(144) / 12)
    seasonal = [coverage(10 + season + rng.normal(size=144), 12, 36, 12) for _ in range(2)]
    noise = [coverage(rng.normal(size=120), 12, 36) for _ in range(2)]
    for found in (seasonal, noise):
        assert 0.8 <= np.mean(found) <= 0.98, found


@pytest.mark.quality
@pytest.mark.timeout(300)
def test_coverage_of_walks_on_the_mean_of_several():
    """One validation window says little of a walk: single ones may hold far less or more."""
    found = [coverage(walk(200, seed), 8, 60) for seed in range(4)]
    assert 0.8 <= np.mean(found) <= 0.98, found


@pytest.mark.timeout(300)
def test_the_airline_series(data_dir):
    rows = (data_dir / "small-series" / "Airline.csv").read_text().split()[1:]
    values = np.array([float(row.split(",")[1]) for row in rows])
    assert 0.8 <= coverage(values, 24, 36, 12) <= 0.97  # 0.53 without calibration
