"""Small slices of real series: better than the seasonal naive, which a broken model is not."""

from dataclasses import replace

import pytest

import recurra
from recurra.baselines.forecaster.classical import SeasonalNaive
from recurra.tasks.forecaster.series import read_series

QUICK = {"progress": False, "threads": 1, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def hourly(data_dir):
    """Every eighth of M4's hourly series, and what followed."""
    panels = [read_series(data_dir / f"m4-hourly/Hourly-{k}.csv") for k in ("train", "test")]
    return [replace(panel, series=panel.series[::8]) for panel in panels]


def test_m4_hourly(hourly):
    train, test = hourly
    naive = SeasonalNaive(horizon=48, season=24)
    naive.fit(train)
    before = naive.evaluate(train, truth=test)
    model = recurra.Forecaster(
        horizon=48, lookback=336, segment=24, transform="log", scale="none",
        normalise="standard", season=24, hidden=48, embedding=32,
    )  # fmt: skip
    model.fit(train, steps=250, batch=64, lr=5e-3, **QUICK)
    found = model.evaluate(train, truth=test)
    assert found.forecasts == 52
    assert found.smape < 0.9 * before.smape
    assert found.crps < before.crps
    assert 0.6 < found.coverage[0.8] < 0.95


def test_airline(data_dir):
    path = str(data_dir / "small-series/Airline.csv")
    naive = SeasonalNaive(horizon=12, hold_out=24)
    naive.fit(path)
    model = recurra.Forecaster(
        horizon=12, lookback=36, transform="log", normalise="standard", calendar="yearday"
    )
    model.fit(path, hold_out=24, steps=150, lr=5e-3, **QUICK)
    before, found = (m.evaluate(path, steps=24, stride=2) for m in (naive, model))
    assert found.season == before.season == 12
    assert found.mase < 0.8 * before.mase
