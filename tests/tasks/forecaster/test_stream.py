"""A stream says what the network says of the whole context, read at once."""

from dataclasses import replace

import numpy as np
import pytest

import recurra
from recurra.errors import InputError
from recurra.tasks.forecaster.described import PointForecast
from recurra.tasks.forecaster.paths import sample_paths
from recurra.tasks.forecaster.runtime import RuntimeForecaster

QUICK = {"progress": False, "threads": 1, "lr": 0.01}


def wave(steps=160):
    return np.sin(np.arange(steps) / 3) + 5 + 0.1 * np.cos(np.arange(steps) ** 2)


@pytest.fixture(scope="module", params=["direct", "autoregressive"])
def trained(request):
    lags = {"lags": "9,12"} if request.param == "autoregressive" else {"highway": False}
    model = recurra.Forecaster(
        horizon=9, lookback=12, segment=3, hidden=8, embedding=8, output="point", members=2,
        normalise="standard", mode=request.param, **lags,
    )  # fmt: skip
    model.fit(wave(), steps=10, **QUICK)
    return model


def whole(model, history, start):
    """The point forecast of a network whose lookback is all from the first window on."""
    s = model.runtime.shape
    longer = replace(s, lookback=s.lookback + len(history) - start)
    scaler = model._scaler
    ((mean, deviation, *_),) = scaler.series["0"]
    scaled = ((history - mean) / deviation).astype(np.float32)
    first = scaled[start - s.lookback : start]
    shift, size = first.mean(), max(first.std(), 0.02)
    values = ((scaled[start - s.context :] - shift) / size)[None, None]
    runtime = RuntimeForecaster(model.config.architecture(), longer, model.files.tensors)
    known, static = np.zeros((1, longer.context + s.steps_ahead, 0)), np.zeros((1, 0))
    if s.direct:
        found = runtime.direct(values, known, static)[..., 0].mean(0)
    else:
        found = sample_paths(
            runtime, PointForecast(), values, known, static,
            paths=2, rng=np.random.default_rng(0),
        ).mean(0)  # fmt: skip
    return (found[0, 0] * size + shift) * deviation + mean


def test_values_one_by_one_are_the_context_read_at_once(trained):
    history, start = wave(130), 100
    stream = trained.stream({"0": history[:start]})
    for position in range(start, 112):
        if (position - start) % 3 == 0:
            found = stream.forecast()
            expected = whole(trained, history[:position], start)
            np.testing.assert_allclose(found.mean[:, 0], expected, rtol=2e-5)
            assert found.times[0] == position
        stream.append(history[position])


def test_within_a_segment_the_rest_of_the_horizon_is_left(trained):
    stream = trained.stream({"0": wave(100)})
    before = stream.forecast()
    stream.append(wave(101)[100])
    after = stream.forecast()
    assert len(after.times) == 8
    np.testing.assert_allclose(after.mean, before.mean[1:], rtol=1e-6)


def test_the_first_forecast_is_that_of_predict(trained):
    (expected,) = trained.predict({"0": wave(100)}, seed=3)
    found = trained.stream({"0": wave(100)}, seed=3).forecast()
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-6)
    np.testing.assert_array_equal(found.times, expected.times)


def test_missing_values_repeat_the_last(trained):
    a, b = (trained.stream({"0": wave(100)}) for _ in range(2))
    for value in (5.0, np.nan, 6.0):
        a.append(value)
    for value in (5.0, 5.0, 6.0):
        b.append(value)
    np.testing.assert_array_equal(a.forecast().mean, b.forecast().mean)


def test_what_does_not_fit_is_refused(trained):
    stream = trained.stream({"0": wave(100)})
    with pytest.raises(InputError, match="expected 1 values and 0 known"):
        stream.append([1.0, 2.0])
    with pytest.raises(InputError, match=r"expected known covariates \(9, 0\)"):
        stream.forecast(known=np.ones((9, 1)))
    with pytest.raises(InputError, match="expected one series"):
        trained.stream({"a": wave(), "b": wave()})


def test_windows_measured_from_their_last_value_carry_no_state():
    model = recurra.Forecaster(horizon=4, lookback=8, hidden=4, embedding=4)
    model.fit(wave(), steps=1, **QUICK)
    with pytest.raises(InputError, match="carries no state"):
        model.stream({"0": wave()})
