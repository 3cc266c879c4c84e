"""What a user may choose about a forecaster and its data."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from recurra.data.cells import DECIMALS
from recurra.data.dates import DATES
from recurra.data.frames import series_source
from recurra.data.table_rows import Table, open_table
from recurra.data.timestamps import CALENDAR, Frequency, Step
from recurra.errors import InputError
from recurra.settings import Settings, option
from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.recognise import recognised
from recurra.tasks.forecaster.runtime import ForecastShape
from recurra.tasks.forecaster.series import LAYOUTS, RULES, read_series
from recurra.tasks.network import NetworkConfig, cell_option

OUTPUTS = ("point", "quantiles", "student_t")
TRANSFORMS = ("none", "log", "log1p")
SCALES = ("standard", "mean", "none")
WINDOWS = ("last", "mean", "standard", "none")


@dataclass(frozen=True, kw_only=True)
class ForecasterSettings(NetworkConfig):
    """The window, how values are scaled, what comes out, and the network."""

    horizon: int = option(24, "steps to forecast", least=1, whole=True)
    lookback: int | None = option(
        None,
        "steps of history that a forecast reads: by default four horizons",
        least=1,
        whole=True,
    )
    segment: int = option(
        1, "steps that the recurrent layers read at once (Lin et al. 2023)", least=1, whole=True
    )
    mode: str = option(
        "direct",
        "the horizon at once from the state after the context, or step by step in sampled paths",
        choices=("direct", "autoregressive"),
    )
    output: str = option("quantiles", "what is forecast of each value", choices=OUTPUTS)
    norm: str = option("l1", "loss of the output point", choices=("l1", "l2"))
    levels: str = option(
        "0.05,0.1,0.25,0.5,0.75,0.9,0.95", "quantiles to forecast, with commas", text=True
    )
    columns: str = option(
        "independent",
        "several columns: each by itself under the same weights, or read together",
        choices=("independent", "joint"),
    )
    transform: str = option("none", "of the values, before all else", choices=TRANSFORMS)
    scale: str = option(
        "standard",
        "each column of each series, by its training part: to mean 0 and deviation 1, or by its "
        "mean absolute value",
        choices=SCALES,
    )
    normalise: str = option(
        "last",
        "each window by its context: minus its last value, divided by its mean absolute value, or "
        "to mean 0 and deviation 1",
        choices=WINDOWS,
    )
    highway: bool | None = option(
        None,
        "add a linear map from context to horizon (Lai et al. 2018); by default in mode direct",
        switch=True,
    )
    lags: str | None = option(
        None, "earlier values read at each step, with commas: 24,168 (autoregressive)", text=True
    )
    calendar: str | None = option(
        None, f"features of the time, with commas, from {', '.join(CALENDAR)}", text=True
    )
    season: int | None = option(
        None, "steps of a season, for MASE; by default as usual for the step", least=1, whole=True
    )
    embedding: int = option(64, "width of a segment's embedding", least=1, whole=True)
    members: int = option(
        1, "networks trained side by side, whose forecasts are joined", least=1, whole=True
    )
    hidden: int = option(128, "units of a layer", least=1, whole=True)
    cell: str = cell_option("gru")

    @property
    def context(self) -> int:
        """Steps of history that a forecast reads, but for lags."""
        if self.lookback is not None:
            return self.lookback
        return -(-4 * self.horizon // self.segment) * self.segment

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The levels, rising."""
        return tuple(sorted(_numbers(self.levels, float)))

    @property
    def lag_steps(self) -> tuple[int, ...]:
        """The lags, rising."""
        return tuple(sorted(_numbers(self.lags, int)))

    @property
    def calendar_names(self) -> tuple[str, ...]:
        """The calendar features."""
        return tuple(part.strip() for part in (self.calendar or "").split(",") if part.strip())

    @property
    def has_highway(self) -> bool:
        """Whether there is a linear map beside the recurrent path."""
        return self.mode == "direct" if self.highway is None else self.highway

    @property
    def numbers(self) -> int:
        """P: what describes one value."""
        return {"point": 1, "student_t": 3, "quantiles": len(self.quantiles)}[self.output]

    def clashes(self) -> list[str]:
        """What is wrong with the values together, where each is right by itself."""
        found = super().clashes()
        try:
            if not self.quantiles or not all(0 < q < 1 for q in self.quantiles):
                found.append(f"levels must be between 0 and 1, received {self.levels!r}")
            if any(lag < self.segment for lag in self.lag_steps):
                found.append(f"lags must be at least the segment ({self.segment})")
        except ValueError:
            found.append("levels and lags must be numbers with commas between them")
        unknown = [name for name in self.calendar_names if name not in CALENDAR]
        if unknown:
            found.append(f"calendar: expected {', '.join(CALENDAR)}, received {', '.join(unknown)}")
        if self.context % self.segment:
            found.append(f"lookback must be a multiple of the segment ({self.segment})")
        if self.mode == "autoregressive" and self.highway:
            found.append("highway: only of the mode direct")
        if self.mode == "direct" and self.lags:
            found.append("lags: only of the mode autoregressive; direct reads the lookback")
        return found

    def shape(self, *, channels: int, known: int, static: int) -> ForecastShape:
        """The sizes of the network for C columns, K known and S static numbers."""
        joint = self.columns == "joint"
        several = channels > 1 and not joint
        return ForecastShape(
            direct=self.mode == "direct",
            channels=channels,
            joint=joint,
            lookback=self.context,
            horizon=self.horizon,
            segment=self.segment,
            embedding=self.embedding,
            channel_embedding=self.embedding // 2 if several else 0,
            known=known,
            static=static,
            lags=self.lag_steps,
            numbers=self.numbers,
            highway=self.has_highway,
            shifts_all=self.output != "student_t",
            members=self.members,
        )


@dataclass(frozen=True, kw_only=True)
class SeriesSettings(Settings):
    """How series are read from a file."""

    layout: str = option(
        "auto", "long: a row a time; wide: a row a series; calendar: a row a year", choices=LAYOUTS
    )
    series_column: str | None = option(None, "column of the series' id", text=True)
    time_column: str | None = option(
        None, "column of the time, or two with a comma: year,quarter", text=True
    )
    value_columns: str | None = option(None, "columns to forecast, with commas", text=True)
    known_columns: str | None = option(
        None, "columns known for the future too, with commas", text=True
    )
    static_columns: str | None = option(
        None, "columns that a series does not change, with commas", text=True
    )
    missing: str = option("keep", "what becomes of missing values", choices=RULES)
    skip_bad: bool = option(False, "leave out rows that cannot be read, and report them")
    delimiter: str | None = option(
        None,
        "between cells, by default what separates the first rows; a space for any white space",
        text=True,
    )
    skip_lines: int = option(0, "lines above the header", least=0, whole=True)
    dates: str = option(
        "auto",
        "how times are written: by default the layout that reads them all; unix counts seconds "
        "since 1970, order numbers the rows as they come, whatever their times",
        choices=DATES, later=True,
    )  # fmt: skip
    decimal: str = option(
        "auto", "what stands before the fraction of a number", choices=DECIMALS, later=True
    )
    encoding: str | None = option(
        None, "of a file that is not UTF-8, such as cp1252", text=True, later=True
    )

    freq: str | None = option(
        None,
        "step between times, as pandas writes it, in place of the one they show: h, D, B, W, MS, "
        "ME, QS-OCT, 15min",
        text=True, later=True,
    )  # fmt: skip

    def mistakes(self) -> list[str]:
        """What is wrong with the values, a line each; empty where nothing is."""
        found = super().mistakes()
        if isinstance(self.freq, str):
            try:
                Frequency.of(self.freq)
            except InputError as error:
                found.append(str(error))
        return found

    def read(self, source: Any, *, like: Step | None = None, utc: bool = False) -> Panel:
        """The series of a file, a DataFrame, a panel, or arrays (see `Panel.of`).

        Args:
            source: any of these; "-" is a table on standard input.
            like, utc: as for `read_series`.
        """
        if isinstance(source, Panel):
            if self.freq is not None and not Frequency.of(self.freq).step.same_as(source.step):
                raise InputError(
                    f"freq {self.freq!r}: expected series of one {Frequency.of(self.freq).step}, "
                    f"received a panel of one {source.step}: choose another freq, or leave it out"
                )
            return source
        source = series_source(source)
        if not isinstance(source, Path | Table):
            panel = Panel.of(source)
            if self.freq is not None and like is None:
                raise InputError(
                    f"freq {self.freq!r}: expected data with dates, received arrays of numbers: "
                    "give a frame with a column of times, or leave it out"
                )
            return panel
        if str(source) == "-":
            with TemporaryDirectory(prefix="recurra-") as folder:
                file = Path(folder) / "standard input"
                file.write_bytes(sys.stdin.buffer.read())
                try:
                    panel = self.read(file)
                except InputError as error:
                    raise InputError(str(error).replace(str(file), file.name)) from None
                skipped = tuple(line.replace(str(file), file.name) for line in panel.skipped)
                return replace(panel, skipped=skipped)
        table: Table
        if isinstance(source, Table):
            table = source
        else:
            table = open_table(
                source,
                delimiter=self.delimiter,
                skip_lines=self.skip_lines,
                encoding=self.encoding,
            )
        how: dict[str, Any] = {
            "series": self.series_column,
            "time": _words(self.time_column),
            "values": _words(self.value_columns),
            "known": _words(self.known_columns),
            "static": _words(self.static_columns),
            "dates": self.dates,
        }
        told = ""
        if self.layout == "auto" and self.dates == "auto" and not any(list(how.values())[:-1]):
            table, more, told = recognised(table)
            how |= more
        panel = read_series(
            table,
            layout=self.layout,
            missing=self.missing,
            on_error="skip" if self.skip_bad else "raise",
            decimal=self.decimal,
            freq=self.freq,
            like=like,
            utc=utc,
            **how,
        )
        there = sum(int((~np.isnan(one.values)).any(1).sum()) for one in panel.series)
        steps = sum(map(len, panel.series))
        if self.freq is not None and there * 2 < steps:
            note = (
                f"freq {self.freq!r} has {steps:,} steps of one {panel.step} for {there:,} values"
            )
            told = f"{told}; {note}" if told else note
        return replace(panel, told=told)


@dataclass(frozen=True, kw_only=True)
class ForecasterData(SeriesSettings):
    """How series are read from a file, and cut into windows for training."""

    hold_out: int = option(
        0, "steps at the end of each series that training does not see at all", least=0, whole=True
    )
    valid_steps: int | None = option(
        None, "steps before those, to choose the best model on: by default a horizon",
        least=1, whole=True,
    )  # fmt: skip
    valid_stride: int | None = option(
        None, "steps between validation forecasts: by default so that there are about a thousand",
        least=1, whole=True,
    )  # fmt: skip
    batch: int = option(64, "windows side by side", least=1, whole=True)
    stride: int = option(1, "steps between the beginnings of windows", least=1, whole=True)
    windows: int | None = option(
        None, "at most so many windows an epoch, drawn anew each time", least=1, whole=True
    )
    calibrate: bool | None = option(
        None,
        "widen intervals until the widest holds its share of the validation (direct forecasts of "
        "quantiles or student_t): by default up to 500 windows to train on",
        switch=True, later=True,
    )  # fmt: skip


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _numbers(text: str | None, kind: Any) -> list[Any]:
    return [kind(part) for part in _words(text)]
