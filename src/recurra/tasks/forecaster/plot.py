"""A picture of a forecast."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recurra.errors import InputError

if TYPE_CHECKING:
    from recurra.tasks.forecaster.forecast import Forecast


def draw(
    forecast: "Forecast",
    path: Path,
    history: np.ndarray | None,
    history_times: np.ndarray | None,
    truth: np.ndarray | None,
    column: int,
) -> Path:
    """See `Forecast.plot`."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError("plot needs matplotlib: pip install recurra[report]") from error
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = len(forecast.times)
    times = forecast.times
    if history is not None:
        if history_times is None:  # count back from the first step
            first = 0 if times.dtype.kind == "M" else int(times[0])
            times = np.arange(first, first + steps)
            history_times = np.arange(first - len(history), first)
        axes.plot(history_times, history[:, column], color="#444", linewidth=1, label="history")
    if truth is not None:
        axes.plot(times, truth[:, column], color="#444", linewidth=1, linestyle=":", label="truth")
    if forecast.quantiles is not None:
        bands = len(forecast.levels) // 2
        for k in range(bands):
            low, high = forecast.levels[k], forecast.levels[-1 - k]
            axes.fill_between(
                times,
                forecast.quantiles[:, column, k],
                forecast.quantiles[:, column, -1 - k],
                color="#1f6fb4",
                alpha=0.15,
                linewidth=0,
                label=f"{low:g} – {high:g}",
            )
    axes.plot(times, forecast.median[:, column], color="#1f6fb4", linewidth=1.6, label="median")
    axes.set_title(f"{forecast.name} {forecast.columns[column]}".strip(), fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=6)
    axes.margins(x=0.01, y=0.15)
    figure.savefig(path, dpi=120)
    return path
