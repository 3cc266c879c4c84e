"""The class: it learns what can be learnt, says what it should, and is the same when loaded."""

from dataclasses import replace

import numpy as np
import pytest

import recurra
from recurra.baselines.forecaster.classical import SeasonalNaive
from recurra.data.timestamps import Step
from recurra.errors import FormatError, InputError
from recurra.tasks.forecaster.panel import Panel, Series

QUICK = {"progress": False, "threads": 1, "lr": 0.02, "weight_decay": 0.0}
#: Kinds of forecasters; every test over KINDS has each.
KINDS = {
    "direct quantiles": {"normalise": "standard", "segment": 4},
    "direct student": {"output": "student_t", "cell": "lstm", "normalise": "mean"},
    "direct point": {"output": "point", "members": 2, "transform": "log", "layers": 2},
    "paths of student": {
        "mode": "autoregressive", "output": "student_t", "normalise": "none", "lags": "12",
    },
    "paths of quantiles": {"mode": "autoregressive", "segment": 4, "normalise": "standard"},
    "joint": {"columns": "joint", "normalise": "standard", "cell": "lstm", "highway": False},
}  # fmt: skip


def seasonal(count=4, steps=220, noise=0.2, seed=0):
    rng, t = np.random.default_rng(seed), np.arange(steps)
    return {
        f"s{i}": (i + 1)
        * (10 + np.sin(2 * np.pi * (t + 3 * i) / 12) + noise * rng.normal(size=steps))
        for i in range(count)
    }


def forecaster(**settings):
    return recurra.Forecaster(
        **{"horizon": 12, "lookback": 24, "hidden": 32, "embedding": 32, "dropout": 0.0, **settings}
    )


@pytest.fixture(scope="module")
def trained():
    """One forecaster of each kind, trained on all but the last 24 steps."""
    found = {}
    for name, settings in KINDS.items():
        model = forecaster(**settings)
        model.fit(seasonal(), steps=120, hold_out=24, **QUICK)
        found[name] = model
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_the_season(trained, kind):
    """A model that knew only the level would have an error of 0.6 deviations and more."""
    scores = trained[kind].evaluate(seasonal(), steps=24, stride=4)
    assert scores.scaled_mae < 0.35
    naive = SeasonalNaive(horizon=12, season=12, hold_out=24)
    naive.fit(seasonal())
    assert scores.mae < 1.1 * naive.evaluate(seasonal(), steps=24, stride=4).mae
    if scores.coverage:
        assert scores.crps < scores.mae
        assert 0.45 < scores.coverage[0.8] <= 1.0
        assert scores.coverage[0.5] < scores.coverage[0.9]
    assert len(scores.by_step) == 12
    assert scores.forecasts == 4 * 4


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_predicts_has_the_right_form(trained, kind):
    history = {name: values[:196] for name, values in seasonal().items()}
    model = trained[kind]
    for forecast in model.predict(history, samples=7):
        assert forecast.times.tolist() == list(range(196, 208))
        assert forecast.median.shape == forecast.mean.shape == (12, 1)
        assert forecast.samples.shape == (7, 12, 1)
        if model.config.output != "point":
            assert (np.diff(forecast.quantiles, axis=-1) >= 0).all()
            assert forecast.quantiles.shape == (12, 1, len(forecast.levels))
            middle = forecast.quantiles[..., forecast.levels.index(0.5)]
            np.testing.assert_allclose(forecast.median, middle, rtol=1e-9)
        found = forecast.to_dict()
        assert len(found["y"]["median"]) == len(found["times"]) == 12
        assert len(str(forecast).splitlines()) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_same_when_loaded(trained, kind, tmp_path):
    history = {name: values[:196] for name, values in seasonal().items()}
    loaded = recurra.load(trained[kind].save(tmp_path / "model"))
    for mine, theirs in zip(trained[kind].predict(history), loaded.predict(history), strict=True):
        np.testing.assert_array_equal(mine.median, theirs.median)
    assert loaded.config == trained[kind].config


def test_a_series_is_forecast_alike_alone_and_among_others(trained):
    history = {name: values[:196] for name, values in seasonal().items()}
    for model in (trained["direct quantiles"], trained["direct student"]):
        among = model.predict(history)[2]
        alone = model.predict({"s2": history["s2"]})[0]
        np.testing.assert_allclose(among.median, alone.median, rtol=1e-6)


def test_levels_that_are_asked_for(trained):
    history = {"s0": seasonal()["s0"][:196]}
    for kind in ("direct quantiles", "direct student", "paths of student"):
        (found,) = trained[kind].predict(history, levels=(0.2, 0.8))
        assert found.levels == (0.2, 0.8)
        assert found.quantiles.shape == (12, 1, 2)
    with pytest.raises(InputError, match=r"expected them from 0\.05 to 0\.95"):
        trained["direct quantiles"].predict(history, levels=(0.01,))
    with pytest.raises(InputError, match="knows none"):
        trained["direct point"].predict(history, levels=(0.5,))


def test_unknown_series_are_scaled_by_themselves(trained):
    values = 500 * seasonal()["s1"][:196]
    (found,) = trained["direct quantiles"].predict({"new": values})
    assert abs(found.median.mean() / values.mean() - 1) < 0.1


def test_samples_of_student_have_its_quantiles(trained):
    history = {"s0": seasonal()["s0"][:196]}
    (found,) = trained["direct student"].predict(history, samples=4000)
    low, high = (found.quantiles[..., found.levels.index(q)] for q in (0.25, 0.75))
    drawn = np.quantile(found.samples, [0.25, 0.75], axis=0)
    np.testing.assert_allclose(drawn, [low, high], atol=0.1 * float((high - low).mean()))


def test_known_covariates_of_the_future_are_read():
    """A series that is its covariate: nothing in the past tells it."""
    rng = np.random.default_rng(1)
    drive = rng.normal(size=(420, 1))
    values = 3 + 2 * drive[:400] + 0.05 * rng.normal(size=(400, 1))
    panel = Panel((Series("a", values, 0, drive),), ("y",), Step(1, "number"), ("drive",))
    plain = replace(panel, series=(Series("a", values, 0),), known_columns=())
    for mode in ("direct", "autoregressive"):
        errors = []
        for given in (plain, panel):
            model = forecaster(horizon=4, lookback=8, mode=mode, normalise="none", output="point")
            model.fit(given, steps=100, hold_out=40, **QUICK)
            errors.append(model.evaluate(given, steps=40, stride=4).scaled_mae)
        assert errors[1] < 0.35 < 0.6 < errors[0]
    short = replace(panel, series=(Series("a", values, 0, drive[:400]),))
    with pytest.raises(InputError, match="expected drive for 404 steps"):
        model.predict(short)


def test_static_words_and_the_calendar_are_read(tmp_path):
    """Sites differ in sign, hours in level; both are told, the context is noise."""
    rng = np.random.default_rng(2)
    times = np.datetime64("2024-01-01T00") + np.arange(24 * 16)
    lines = ["site,kind,time,y"]
    for site, kind, sign in (("a", "up", 1), ("b", "down", -1), ("c", "up", 1), ("d", "down", -1)):
        for time in times:
            hour = time.item().hour
            y = sign * (hour >= 12) * 4 + rng.normal() * 0.3
            lines.append(f"{site},{kind},{time}:00,{y:.3f}")
    path = tmp_path / "sites.csv"
    path.write_text("\n".join(lines) + "\n")
    settings = {"series_column": "site", "static_columns": "kind", "time_column": "time"}
    model = forecaster(
        horizon=24, lookback=2, calendar="hour", scale="none", normalise="none", output="point"
    )
    model.fit(str(path), steps=120, hold_out=24, **settings, **QUICK)
    assert model.evaluate(str(path)).mae < 0.7
    assert str(model.predict(str(path))[0].times[0]) == "2024-01-17T00:00:00"
    with pytest.raises(InputError, match="static covariates: expected kind"):
        model.predict(Panel.of({"a": np.ones(30)}))


def test_missing_values_do_not_count():
    data = seasonal(noise=0.05)
    holes = {name: values.copy() for name, values in data.items()}
    rng = np.random.default_rng(0)
    for values in holes.values():
        values[rng.random(len(values)) < 0.15] = np.nan
    model = forecaster(normalise="standard")
    model.fit(holes, steps=120, hold_out=24, **QUICK)
    assert model.evaluate(data, steps=24, stride=4).scaled_mae < 0.3
    assert np.isfinite(model.evaluate(holes, steps=24, stride=4).mae)


def test_several_columns_are_told_apart():
    t = np.arange(300)
    values = np.stack([np.sin(t / 2), np.sign(np.sin(t / 5))], axis=1)
    model = forecaster(normalise="none", segment=4)
    model.fit(values, steps=120, hold_out=24, **QUICK)
    (found,) = model.predict(values[:280])
    assert found.columns == ("y0", "y1")
    assert np.abs(found.median - values[280:292]).mean() < 0.25
    with pytest.raises(InputError, match="columns: expected y0, y1 as in training"):
        model.predict(values[:, :1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lookback": 25, "segment": 4}, "lookback must be a multiple of the segment"),
        ({"levels": "0.5,1.5"}, "levels must be between 0 and 1"),
        ({"levels": "half"}, "levels and lags must be numbers"),
        ({"lags": "24"}, "lags: only of the mode autoregressive"),
        ({"mode": "autoregressive", "highway": True}, "highway: only of the mode direct"),
        ({"mode": "autoregressive", "segment": 4, "lags": "2"}, "lags must be at least"),
        ({"calendar": "moon"}, "calendar: expected minute, hour"),
        ({"output": "normal"}, "output must be one of point, quantiles, student_t"),
        ({"horizn": 3}, "did you mean horizon"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(InputError, match=message):
        forecaster(**settings)


@pytest.mark.parametrize(
    ("settings", "options", "values", "message"),
    [
        ({}, {}, np.arange(20.0), "expected more than 13 steps to train on, the longest has 8"),
        ({"transform": "log"}, {}, np.arange(100.0), "transform log expects positive values"),
        ({}, {"hold_out": 100}, np.arange(100.0), "more than the 100 steps that are held out"),
        ({}, {"valid_steps": 5}, np.arange(100.0), "expected at least the horizon"),
        ({"calendar": "hour"}, {}, np.arange(100.0), "expected dates"),
    ],
)
def test_series_that_do_not_fit(settings, options, values, message):
    with pytest.raises(InputError, match=message):
        forecaster(**settings).fit({"a": values}, steps=1, **options, **QUICK)


def test_untrained_and_foreign_models(tmp_path, trained):
    with pytest.raises(InputError, match="this forecaster is not trained yet"):
        forecaster().predict({"a": np.ones(30)})
    with pytest.raises(FormatError, match="expected a language model"):
        recurra.LanguageModel.load(trained["joint"].save(tmp_path / "model"))


def test_training_goes_on_from_the_weights():
    model = forecaster(normalise="standard", segment=4)
    model.fit(seasonal(), steps=40, hold_out=24, **QUICK)
    before = model.evaluate(seasonal(), steps=24).mae
    model.fit(seasonal(), steps=1, hold_out=24, **{**QUICK, "lr": 1e-9})
    assert model.evaluate(seasonal(), steps=24).mae == pytest.approx(before, rel=1e-3)
    with pytest.raises(InputError, match="columns: expected y as in training, received y0, y1, y2"):
        model.fit(np.ones((100, 3)) * np.arange(100)[:, None], steps=1, **QUICK)


def test_a_plot_is_a_picture(trained, tmp_path):
    history = seasonal()["s0"][:196, None]
    (found,) = trained["direct quantiles"].predict({"s0": history[:, 0]})
    path = found.plot(tmp_path / "s0.png", history=history[-48:], truth=history[:12])
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000
    with pytest.raises(InputError, match="expected a column below 1"):
        found.plot(path, column=1)
