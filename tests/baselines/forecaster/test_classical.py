"""Rivals against their own definitions, and against the libraries they are made of."""

import numpy as np
import pytest

from recurra.baselines import compare
from recurra.baselines.forecaster.classical import (
    ExponentialSmoothing,
    SeasonalNaive,
    single_inputs,
)
from recurra.errors import FormatError, InputError

T = np.arange(60)
WAVE = 20 + 0.1 * T + 3 * np.sin(2 * np.pi * T / 6) + 0.2 * np.cos(T**2)


def test_the_seasonal_naive_repeats_the_last_season():
    model = SeasonalNaive(horizon=8, season=6)
    model.fit({"a": WAVE})
    (found,) = model.predict({"a": WAVE})
    expected = np.concatenate([WAVE[-6:], WAVE[-6:-4]])
    np.testing.assert_array_equal(found.median[:, 0], expected)
    errors = WAVE[6:] - WAVE[:-6]
    sigma = np.sqrt(np.mean(errors**2))
    low, high = found.quantiles[:, 0, 0], found.quantiles[:, 0, -1]
    np.testing.assert_allclose((high - low)[:6], 2 * 1.6448536269514722 * sigma)
    np.testing.assert_allclose((high - low)[6:], 2 * 1.6448536269514722 * sigma * np.sqrt(2))
    assert model.evaluate({"a": WAVE}, steps=16).mae > 0


def test_a_history_shorter_than_a_season_repeats_its_last_value():
    model = SeasonalNaive(horizon=3, season=24)
    model.fit({"a": WAVE})
    assert model.predict({"a": WAVE[:5]})[0].median[:, 0].tolist() == [WAVE[4]] * 3


@pytest.fixture(scope="module")
def smoothing():
    pytest.importorskip("statsmodels")
    model = ExponentialSmoothing(horizon=6, season=6, hold_out=12)
    model.fit({"a": WAVE})
    return model


def test_ets_is_the_best_form_by_aic(smoothing):
    import warnings

    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    history, best = WAVE[:48], np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in ("add", "mul"):
            for damped in (False, True):
                trend = "add" if damped else None
                fitted = ETSModel(
                    history, error=kind, trend=trend, damped_trend=damped, seasonal=kind,
                    seasonal_periods=6,
                ).fit(disp=False, maxiter=200)  # fmt: skip
                if fitted.aic < best:
                    best, expected = fitted.aic, np.asarray(fitted.forecast(6))
    (found,) = smoothing.predict({"a": history})
    np.testing.assert_allclose(found.mean[:, 0], expected, rtol=1e-6)
    assert (np.diff(found.quantiles[:, 0], axis=-1) > 0).all()


def test_ets_forecasts_later_origins_without_fitting_anew(smoothing, monkeypatch):
    monkeypatch.setattr(smoothing, "_best", lambda history: pytest.fail("fitted anew"))
    scores = smoothing.evaluate({"a": WAVE}, steps=12, stride=3)
    assert scores.forecasts == 3
    assert scores.mase < 0.8


@pytest.mark.parametrize("rival", [SeasonalNaive, ExponentialSmoothing])
def test_what_is_saved_predicts_the_same(rival, tmp_path):
    model = rival(horizon=6, season=6, hold_out=12)
    model.fit({"a": WAVE})
    loaded = rival.load(model.save(tmp_path / "model"))
    for mine, theirs in zip(model.predict({"a": WAVE}), loaded.predict({"a": WAVE}), strict=True):
        np.testing.assert_array_equal(mine.quantiles, theirs.quantiles)
    assert loaded.parameters == model.parameters
    assert not list((tmp_path / "model").rglob("*.pkl"))
    other = SeasonalNaive if rival is ExponentialSmoothing else ExponentialSmoothing
    with pytest.raises(FormatError, match=f"expected {other.task}"):
        other.load(tmp_path / "model")


def test_constant_and_short_series_have_a_forecast(smoothing):
    for values in (np.ones(40), np.arange(5.0)):
        (found,) = smoothing.predict({"new": values})
        assert np.isfinite(found.median).all()


def test_an_untrained_rival_says_so():
    with pytest.raises(InputError, match="not trained yet"):
        SeasonalNaive(horizon=3).predict({"a": WAVE})


def test_a_comparison_has_all_its_columns():
    pytest.importorskip("statsmodels")
    data = {"a": WAVE, "b": 2 * WAVE}
    found = compare(
        "forecast", data, test=data, horizon=6, season=6, hold_out=6, lookback=12, hidden=8,
        embedding=8, steps=5, threads=1,
    )  # fmt: skip
    assert {result.model for result in found.results} == {"gru", "seasonal-naive", "ets"}
    naive = SeasonalNaive(horizon=6, season=6, hold_out=6)
    naive.fit(data)
    assert found["seasonal-naive"].figures["mase"] == naive.evaluate(data).mase
    mase = [result.figures["mase"] for result in found.results]
    assert mase == sorted(mase)
    assert found["ets"].parameters > found["seasonal-naive"].parameters == 0


def test_inputs_of_a_comparison_are_single_series():
    found = single_inputs({"a": WAVE, "b": WAVE}, {}, {})
    assert [[one.name for one in panel.series] for panel in found] == [["a"], ["b"]]
