"""Nothing that is to be forecast has an influence on what is learnt, or on the forecast."""

import numpy as np
import pytest

import recurra
from recurra.tasks.forecaster.runtime import ForecastShape
from recurra.tasks.forecaster.scaling import Scaler
from recurra.tasks.forecaster.windows import TrainingWindows, WindowSource, training_rows

QUICK = {"progress": False, "threads": 1, "lr": 0.02}


def wave(steps=160, seed=0):
    rng, t = np.random.default_rng(seed), np.arange(steps)
    return {n: np.sin(t / 3 + k) + 0.1 * rng.normal(size=steps) + 5 for k, n in enumerate("ab")}


def changed(data, last, by=100.0):
    found = {name: values.copy() for name, values in data.items()}
    for values in found.values():
        values[-last:] += by
    return found


def model(**settings):
    return recurra.Forecaster(horizon=8, lookback=16, hidden=16, embedding=16, **settings)


@pytest.mark.parametrize("mode", ["direct", "autoregressive"])
def test_the_weights_do_not_depend_on_what_is_held_out(mode):
    found = []
    for data in (wave(), changed(wave(), 20)):
        one = model(mode=mode)
        one.fit(data, steps=6, hold_out=20, **QUICK)
        found.append(one.files)
    for name, tensor in found[0].tensors.items():
        np.testing.assert_array_equal(tensor, found[1].tensors[name])
    assert found[0].config["scaler"] == found[1].config["scaler"]


def test_scales_and_steps_do_not_depend_on_the_validation():
    """Only which step is the best does: with one step there is no choice."""
    found = []
    for data in (wave(), changed(wave(), 8)):
        one = model()
        one.fit(data, steps=1, **QUICK)
        found.append(one.files)
    assert found[0].config["scaler"] == found[1].config["scaler"]
    for name, tensor in found[0].tensors.items():
        np.testing.assert_array_equal(tensor, found[1].tensors[name])


def test_but_training_values_count():
    found = []
    for data in (wave(), changed(wave(), 30)):
        one = model()
        one.fit(data, steps=6, hold_out=20, **QUICK)
        found.append(one.files.config["scaler"])
    assert found[0] != found[1]


@pytest.mark.parametrize("settings", [{}, {"mode": "autoregressive"}, {"normalise": "standard"}])
def test_a_forecast_in_a_backtest_does_not_depend_on_what_follows(settings):
    """From each origin a backtest says what `predict` says of the series cut there."""
    one, data = model(**settings), wave()
    one.fit(data, steps=6, hold_out=20, **QUICK)
    whole = one.evaluate(data, steps=20, stride=6)
    errors = []
    for origin in (140, 146, 152):
        cut = {name: values[:origin] for name, values in data.items()}
        for forecast in one.predict(cut):
            truth = data[forecast.name][origin : origin + 8]
            errors.append(np.abs(forecast.median[:, 0] - truth).mean())
    assert whole.forecasts == 6
    close = 1e-6 if settings.get("mode") != "autoregressive" else 0.1  # other draws
    assert whole.mae == pytest.approx(np.mean(errors), rel=close)


def test_unknown_series_are_scaled_by_what_comes_before_the_first_origin():
    one = model(normalise="none")
    one.fit(wave(), steps=6, **QUICK)
    new = {"c": wave(seed=9)["a"]}
    found = [one.evaluate(d, steps=8) for d in (new, changed(new, 8, by=3.0))]
    # The forecast is the same, so the error grows by the three.
    assert found[1].mae == pytest.approx(
        np.abs(one.predict({"c": new["c"][:-8]})[0].median[:, 0] - (new["c"][-8:] + 3)).mean(),
        rel=1e-6,
    )


def shape(**settings):
    return recurra.Forecaster(horizon=8, lookback=16, **settings).config.shape(
        channels=1, known=0, static=0
    )


def source(data, s: ForecastShape, normalise="last"):
    from recurra.tasks.forecaster.panel import Panel

    config = recurra.Forecaster(horizon=8, lookback=16).config
    panel = Panel.of(data)
    return WindowSource(Scaler.fit(panel, config).tracks(panel), s, normalise)


def test_training_windows_end_before_the_validation():
    s, data = shape(), wave()
    rows = training_rows([140, 90], s, 1)
    assert rows[rows[:, 0] == 0][:, 1].max() == 140 - 8
    assert rows[rows[:, 0] == 1][:, 1].max() == 90 - 8
    assert len(rows) == (140 - 8 - 16 + 1) + (90 - 8 - 16 + 1)
    windows = source(data, s).cut(np.array([[0, 132], [1, 82]]))
    values = windows.values * windows.size[..., None] + windows.shift[..., None]
    scaled = source(data, s, "none").cut(np.array([[0, 132], [1, 82]])).values
    np.testing.assert_allclose(values, scaled, atol=1e-6)
    raw = np.stack([data["a"][132 - 16 : 140], data["b"][82 - 16 : 90]])
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(raw, scaled[:, 0], strict=True)]
    np.testing.assert_allclose(correlation, 1)


def test_windows_before_the_beginning_are_padded_and_do_not_count():
    s = shape(mode="autoregressive")
    windows = source(wave(), s, "none").cut(np.array([[0, 5]]))
    assert not windows.present[0, 0, : 16 - 5].any()
    assert windows.present[0, 0, 16 - 5 :].all()
    assert (windows.values[0, 0, : 16 - 5] == windows.values[0, 0, 16 - 5]).all()


def test_epochs_are_permutations_shared_by_ranks():
    s = shape()
    rows = training_rows([140, 90], s, 3)
    made = source(wave(), s)

    def origins(epoch, rank, world):
        batches = TrainingWindows(
            made, rows, batch=4, seed=3, epoch=epoch, most=None, rank=rank, world=world
        )
        return [batch.values for batch in (batches[i] for i in range(len(batches)))]

    first, again, other = origins(0, 0, 1), origins(0, 0, 1), origins(1, 0, 1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    halves = [origins(0, rank, 2) for rank in (0, 1)]
    assert len(halves[0]) == len(halves[1])
    seen = {row.tobytes() for half in halves for batch in half for row in batch}
    assert len(seen) == sum(len(batch) for half in halves for batch in half)


def test_shuffled_targets_are_no_better_than_the_naive():
    """Where order means nothing, nothing is learnt but the middle, and nothing is promised."""
    rng = np.random.default_rng(0)
    data = {name: rng.permutation(values) for name, values in wave(steps=300).items()}
    one = model(normalise="none")
    one.fit(data, steps=80, hold_out=60, **QUICK)
    scores = one.evaluate(data, steps=60, stride=4)
    middle = np.mean(
        [np.abs(values[-60:] - np.median(values[:-60])).mean() for values in data.values()]
    )
    assert scores.mae > 0.9 * middle
    ordered = model(normalise="none")
    ordered.fit(wave(steps=300), steps=80, hold_out=60, **QUICK)
    assert ordered.evaluate(wave(steps=300), steps=60, stride=4).mae < 0.6 * middle
