"""What is forecast of a series."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.dates import Writer
from recurra.errors import InputError
from recurra.tasks.answers import Answer


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of N windows as arrays, in the units of the series.

    mean, median: (N, h, C). quantiles: (N, h, C, Q) at `levels`, or None. samples: (S, N, h, C), or
    None. student: location, scale and degrees of freedom, (N, h, C) each, where that is exactly
    what is forecast.
    """

    mean: np.ndarray
    median: np.ndarray
    levels: tuple[float, ...] = ()
    quantiles: np.ndarray | None = None
    samples: np.ndarray | None = None
    student: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Forecast(Answer):
    """The forecast of one series.

    Attributes:
        name: of the series.
        columns: C names.
        times: (h,), dates or numbers of steps.
        mean: (h, C). Of quantiles, that of the distribution with constant tails; where the values
            are transformed, the transformed-back mean.
        median: (h, C). Of the output point with the norm l2 the mean.
        levels: Q probabilities, and
        quantiles: (h, C, Q) at them; None where only a point is known.
        stamps: (h,), the times as the file writes them; none where it has none.
        samples: (S, h, C), where asked for. Of autoregressive forecasters each is a path; of direct
            ones the steps are drawn independently.
    """

    name: str
    columns: tuple[str, ...]
    times: np.ndarray
    mean: np.ndarray
    median: np.ndarray
    levels: tuple[float, ...] = ()
    quantiles: np.ndarray | None = None
    samples: np.ndarray | None = None
    stamps: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Lines of cells parted by tabs, one a step and column: the series, the time, the column,
        the median, quantiles at rising levels, and draws where there are any."""
        lines = str(self).split("\n")
        if self.samples is None:
            return "\n".join(lines)
        drawn = self.samples.reshape(len(self.samples), -1).T
        rows = zip(lines, drawn, strict=True)
        return "\n".join("\t".join([line, *(f"{v:g}" for v in row)]) for line, row in rows)

    @property
    def header(self) -> str:
        """The names of the cells of `to_text`."""
        names = ["series", "time", "column", "median"]
        names += [f"{level:g}" for level in self.levels] if self.quantiles is not None else []
        count = 0 if self.samples is None else len(self.samples)
        return "\t".join([*names, *(f"sample {k}" for k in range(count))])

    def __str__(self) -> str:
        lines = []
        for step, time in enumerate(self._shown):
            for c, column in enumerate(self.columns):
                cells = [self.name, time, column, f"{self.median[step, c]:g}"]
                if self.quantiles is not None:
                    cells += [f"{value:g}" for value in self.quantiles[step, c]]
                lines.append("\t".join(cells))
        return "\n".join(lines)

    @property
    def _shown(self) -> Sequence[str]:
        return self.stamps or [str(time) for time in self.times]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: for each column, mean and median of every step, and its quantiles."""
        found: dict[str, Any] = {"series": self.name, "times": list(self._shown)}
        for c, column in enumerate(self.columns):
            one: dict[str, Any] = {
                "mean": self.mean[:, c].tolist(),
                "median": self.median[:, c].tolist(),
            }
            if self.quantiles is not None:
                one["quantiles"] = {
                    f"{level:g}": self.quantiles[:, c, k].tolist()
                    for k, level in enumerate(self.levels)
                }
            if self.samples is not None:
                one["samples"] = self.samples[:, :, c].tolist()
            found[column] = one
        return found

    def rows(self) -> list[dict[str, Any]]:
        """A row for each step and column: series, time, column, mean, median and quantiles."""
        times = self._moments()
        found = []
        for step, time in enumerate(times):
            for c, column in enumerate(self.columns):
                row = {"series": self.name, "time": time, "column": column}
                row |= {"mean": float(self.mean[step, c]), "median": float(self.median[step, c])}
                if self.quantiles is not None:
                    levels = zip(self.levels, self.quantiles[step, c].tolist(), strict=True)
                    row |= {f"{level:g}": value for level, value in levels}
                if self.samples is not None:
                    row |= {f"sample {k}": float(s[step, c]) for k, s in enumerate(self.samples)}
                found.append(row)
        return found

    def _moments(self) -> Sequence[Any]:
        """The times as numbers, as moments (with their offset, where the data had one), or as the
        file writes them where that is no ISO time."""
        if not self.stamps:
            return list(self.times)
        try:
            return [datetime.fromisoformat(stamp) for stamp in self.stamps]
        except ValueError:
            return list(self.stamps)

    def plot(
        self,
        path: str | Path,
        *,
        history: np.ndarray | None = None,
        history_times: np.ndarray | None = None,
        truth: np.ndarray | None = None,
        column: int = 0,
    ) -> Path:
        """Draw the forecast with its intervals, after the history and beside the truth, as PNG.

        Args:
            path: of the file.
            history: (T, C), the values before.
            history_times: (T,), their times.
            truth: (h, C), what came.
            column: which of the columns.

        Raises:
            InputError: matplotlib is not installed, or there is no such column.
        """
        from recurra.tasks.forecaster.plot import draw

        if not 0 <= column < len(self.columns):
            raise InputError(
                f"plot: expected a column below {len(self.columns)}, received {column}"
            )
        return draw(self, Path(path), history, history_times, truth, column)


def each(
    found: Forecasts,
    names: Sequence[str],
    columns: tuple[str, ...],
    times: Sequence[np.ndarray],
    writer: Writer | None = None,
) -> list[Forecast]:
    """Forecasts of windows, one by one; `writer` writes their times."""
    return [
        Forecast(
            name,
            columns,
            times[n],
            found.mean[n],
            found.median[n],
            found.levels,
            None if found.quantiles is None else found.quantiles[n],
            None if found.samples is None else found.samples[:, n],
            () if writer is None else writer.write(times[n]),
        )
        for n, name in enumerate(names)
    ]


def presented(writer: Writer | None, how: str | None = None) -> Writer | None:
    """What writes the times of forecasts: as the `file` does, or as ISO 8601 has it.

    By default the file's layout; but for one whose day and month can be confused, of which a few
    lines alone would not tell.
    """
    if writer is None or how == "file" or (how is None and not writer.order):
        return writer
    return writer.iso()
