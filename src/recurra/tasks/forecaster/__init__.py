"""Forecasts of time series: points, quantiles, distributions, sampled paths."""

from recurra.tasks.forecaster.config import ForecastDataConfig, ForecasterConfig
from recurra.tasks.forecaster.forecast import Forecast
from recurra.tasks.forecaster.model import Forecaster
from recurra.tasks.forecaster.scoring import ForecastScores

__all__ = [
    "Forecast",
    "ForecastDataConfig",
    "ForecastScores",
    "Forecaster",
    "ForecasterConfig",
]
