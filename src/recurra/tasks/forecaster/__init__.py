"""Forecasts of time series: points, quantiles, distributions, sampled paths."""

from functools import partial

from recurra import moved
from recurra.tasks.forecaster.forecast import Forecast
from recurra.tasks.forecaster.scores import ForecasterScores
from recurra.tasks.forecaster.settings import ForecasterData, ForecasterSettings
from recurra.tasks.forecaster.task import Forecaster

__all__ = [
    "Forecast",
    "Forecaster",
    "ForecasterData",
    "ForecasterScores",
    "ForecasterSettings",
]

__getattr__ = partial(moved.lookup, __name__)
