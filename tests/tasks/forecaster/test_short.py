"""Series of some hundred values: look-back and length of training follow from them."""

import numpy as np
import pytest

import recurra
from recurra.tasks.forecaster.panel import Panel, Series
from recurra.tasks.forecaster.settings import ForecasterData, ForecasterSettings
from recurra.tasks.forecaster.short import long_enough, suited
from recurra.train import TrainConfig

#: Settings, lengths of series and their season, and the look-back that follows.
LOOKBACKS = {
    "long": ({"horizon": 24}, [1000], 1, 96),
    "many short ones": ({"horizon": 24}, [160] * 3, 1, 96),
    "airline": ({"horizon": 24}, [108], 12, 24),
    "not quite long enough": ({"horizon": 12}, [120], 12, 47),
    "no season": ({"horizon": 5}, [40], 1, 5),
    "two seasons": ({"horizon": 6}, [60], 12, 24),
    "whole segments": ({"horizon": 24, "segment": 12}, [108], 12, 24),
    "as given": ({"horizon": 24, "lookback": 60}, [108], 12, 60),
    "step by step": ({"horizon": 24, "mode": "autoregressive"}, [108], 12, 96),
}


def panel(lengths):
    return Panel(tuple(Series(str(k), np.zeros((n, 1))) for k, n in enumerate(lengths)), ("y",))


@pytest.mark.parametrize("name", LOOKBACKS)
def test_look_back(name):
    settings, lengths, season, wanted = LOOKBACKS[name]
    config = ForecasterSettings(**settings, season=season)
    found = suited(config, panel(lengths), ForecasterData())
    assert found.context == wanted
    assert (found is config) == (wanted == config.context)


#: Settings of training, windows, and the steps that follow.
LENGTHS = {
    "nothing said, few windows": ({}, [108], {"steps": 100}),
    "nothing said, many windows": ({}, [2000], {}),
    "epochs": ({"epochs": 2}, [108], {"epochs": 2}),
    "steps": ({"steps": 2}, [108], {"steps": 2}),
    "minutes": ({"minutes": 2}, [108], {"minutes": 2}),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_length_of_training(name):
    given, lengths, wanted = LENGTHS[name]
    config = ForecasterSettings(horizon=24, lookback=24)
    found = long_enough(TrainConfig(**given), config, panel(lengths), ForecasterData())
    assert found == TrainConfig(**wanted)


def test_what_follows_is_saved(tmp_path):
    values = np.sin(np.arange(60) / 3)
    model = recurra.Forecaster(horizon=5, hidden=4, progress=False).fit(values, steps=1)
    assert model.config.lookback is not None
    assert recurra.load(model.save(tmp_path / "m")).config == model.config
    assert model.get_params()["lookback"] is None
    assert model.fit(values, steps=1).config.lookback == model.config.lookback


def test_one_window_is_told_of():
    model = recurra.Forecaster(horizon=5, lookback=20, hidden=4, progress=False)
    (note,) = model.fit(np.arange(20.0), steps=1).fit_result_.notes
    assert note.startswith("one window to train on")


@pytest.mark.timeout(300)
def test_the_airline_series_with_no_option(data_dir):
    """Monthly passengers, 1949 to 1960: without any option, from 13 origins of 24 months each."""
    path = data_dir / "small-series" / "Airline.csv"
    model = recurra.Forecaster(progress=False).fit(path, hold_out=36)
    scores = model.evaluate(path, steps=36)
    assert scores.forecasts == 13
    assert scores.smape < 10  # the values of the year before have 12.63
    assert scores.mase < 1.4
