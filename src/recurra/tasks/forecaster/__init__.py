"""Forecasts of time series: points, quantiles, distributions, sampled paths."""

from recurra.tasks.forecaster.forecast import Forecast
from recurra.tasks.forecaster.scores import ForecastScores
from recurra.tasks.forecaster.settings import ForecastDataConfig, ForecasterConfig
from recurra.tasks.forecaster.task import Forecaster

__all__ = [
    "Forecast",
    "ForecastDataConfig",
    "ForecastScores",
    "Forecaster",
    "ForecasterConfig",
]
