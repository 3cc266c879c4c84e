"""Rivals of forecasters: the seasonal naive forecast, exponential smoothing."""
