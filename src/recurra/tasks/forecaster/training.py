"""Training a forecaster: the torch side of the task."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.errors import InputError
from recurra.given import LeftOut
from recurra.given import shown as told
from recurra.nn import Recurrent
from recurra.storage import ModelFiles
from recurra.tasks.card import Card, layers_of, shown
from recurra.tasks.figures import mean
from recurra.tasks.forecaster.calibration import WINDOWS, distances, factor, outer_levels
from recurra.tasks.forecaster.described import described
from recurra.tasks.forecaster.distributions import output
from recurra.tasks.forecaster.network import Forecaster
from recurra.tasks.forecaster.panel import Panel, Series
from recurra.tasks.forecaster.rows import NAME, RowParts, Rows
from recurra.tasks.forecaster.runtime import ForecastShape
from recurra.tasks.forecaster.scaling import Scaler
from recurra.tasks.forecaster.scores import origins
from recurra.tasks.forecaster.settings import ForecasterData, ForecasterSettings, SeriesSettings
from recurra.tasks.forecaster.windows import (
    TrainingWindows,
    WindowSource,
    training_rows,
)
from recurra.tasks.job import Job
from recurra.tasks.training import Training, drawn
from recurra.train.distributed import World

#: About so many windows are forecast in a validation.
_VALIDATION = 1000
_FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class Split:
    """Series, and how many of the steps of each are for training, and then for validation; of rows
    of a table also which are for which, and whether one value followed each (`single`)."""

    panel: Panel
    train: list[int]
    valid: list[int]
    rows: RowParts | None = None
    single: bool = False

    @property
    def identity(self) -> dict[str, Any]:
        """What a run must share with the one it continues."""
        return {"series": self.sha256}

    @property
    def left_out(self) -> LeftOut:
        """Rows that could not be used."""
        return self.panel.left_out

    @property
    def about(self) -> dict[str, Any]:
        """What the model directory says of the data."""
        return {
            "series": len(self.panel),
            "columns": list(self.panel.columns),
            "steps": int(sum(self.train)),
            "sha256": self.sha256,
        }

    @cached_property
    def sha256(self) -> str:
        """Of all that is read in training and validation."""
        digest = hashlib.sha256(repr((self.panel.columns, self.panel.step, self.train)).encode())
        for one, end in zip(self.panel.series, self.valid, strict=True):
            digest.update(repr((one.name, str(one.start), one.static)).encode())
            digest.update(np.ascontiguousarray(one.values[:end]).tobytes())
            digest.update(np.ascontiguousarray(one.known[:end]).tobytes())
        return digest.hexdigest()


def split(job: Job) -> Split:
    """Read the series of a job, and part them: training, validation, and what neither sees.

    Raises:
        InputError: files that cannot be read, or series too short.
    """
    data, model = job.data, job.model
    assert isinstance(data, ForecasterData)
    assert isinstance(model, ForecasterSettings)
    if isinstance(job.source, Rows):
        return split_rows(job.source, job.valid, seed=job.train.seed)
    steps = data.valid_steps or model.horizon
    if steps < model.horizon:
        raise InputError(
            f"valid_steps: expected at least the horizon ({model.horizon}), received {steps}"
        )
    panel = data.read(job.source)
    if job.valid is not None:
        train = [len(one) for one in panel.series]
        panel = panel.followed_by(data.read(job.valid))
        return Split(panel, train, [len(one) for one in panel.series])
    panel = panel.without_last(data.hold_out)
    ends = [len(one) for one in panel.series]
    return Split(panel, [max(end - steps, 0) for end in ends], ends)


def split_rows(rows: Rows, valid: Any, *, seed: int) -> Split:
    """Rows of a table, of which a tenth is held out, or those of `valid`, a pair (X, y)."""
    panel, more = rows.panel(), 0
    steps = rows.values.shape[1]
    if valid is not None:
        if not isinstance(valid, tuple) or len(valid) != 2:
            raise InputError(f"valid: expected a pair (X, y), received {told(valid)}")
        others = Rows.of(*valid)
        if (others.values.shape[1], others.after.shape[1]) != (steps, rows.after.shape[1]):
            raise InputError("valid: expected rows of as many columns as X and y have: cut them")
        panel, more = replace(panel, series=panel.series + others.panel().series), len(others)
    parts = RowParts.of(len(rows), steps, more, seed=seed)
    ends = [len(one) for one in panel.series]
    return Split(panel, ends, ends, parts, rows.single)


class ForecasterTraining(Training[ForecasterSettings, ForecasterData, Split]):
    """What the training loop needs of a forecaster (see `recurra.tasks.training`)."""

    task = "forecaster"
    unit = "values"
    other = "the series have other columns or covariates"

    def __init__(
        self, job: Job[ForecasterSettings, ForecasterData], prepared: Split, module: Any = None
    ) -> None:
        self._learn_scales(job, prepared)
        super().__init__(job, prepared, module)
        model: Any = job.model
        if prepared.rows is None:
            self._rows = training_rows(prepared.train, self.shape, self.data.stride)
            self._held_out = self._validation_rows()
        else:
            self._rows, self._held_out = prepared.rows.train, prepared.rows.valid
        self._check_targets()
        self._said = described(model.output, model.quantiles)
        known = model.mode == "direct" and outer_levels(self._said) is not None
        if self.data.calibrate and not known:
            raise InputError(
                "calibrate: expected direct forecasts with quantiles on both sides of the median: "
                "leave it out, or choose others (--mode, --output, --levels)"
            )
        few = len(self._rows) <= WINDOWS if self.data.calibrate is None else self.data.calibrate
        self._calibrates, self._width = known and few, 1.0
        self._output = output(model.output, norm=model.norm, levels=model.quantiles)
        read = (prepared.panel.told,) if prepared.panel.told else ()
        self.notes = read + (self._untaught() if prepared.rows is None else ())

    def _learn_scales(self, job: Job, parts: Split) -> None:
        """Scales and shape, from the values for training alone, and what windows are cut from."""
        model: Any = job.model
        panel = parts.panel
        before = [one.until(end) for one, end in zip(panel.series, parts.train, strict=True)]
        kept = [index for index, one in enumerate(before) if np.isfinite(one.values).any()]
        learnt = replace(panel, series=tuple(before[index] for index in kept))
        if not kept:
            raise InputError(
                "series: expected values to train on, all are held out or missing: hold out less "
                "(--hold-out), or fill what is missing (--missing linear)"
            )
        if parts.rows is not None:  # one scale for all
            every = [before[k].values for k in parts.rows.train[:, 0]]
            learnt = replace(panel, series=(Series(NAME, np.concatenate(every)),))
        self._kept, self.scaler = kept, Scaler.fit(learnt, model)
        if job.files is not None:
            self.scaler = Scaler.from_json(job.files.config["scaler"]).joined(self.scaler)
        self.shape = model.shape(
            channels=len(panel.columns),
            known=self.scaler.known_size,
            static=self.scaler.static_size,
        )
        whole = [one.until(end) for one, end in zip(panel.series, parts.valid, strict=True)]
        tracks = self.scaler.tracks(
            replace(panel, series=tuple(whole)),
            lengths=[max(end, 1) for end in parts.train],
        )
        self._source = WindowSource(tracks, self.shape, model.normalise)

    @classmethod
    def prepare(
        cls, job: Job[ForecasterSettings, ForecasterData], out: Path, world: World
    ) -> Split:
        """See `Training`."""
        return split(job)

    def build(self, config: Any, prepared: Split, seed: int) -> Any:
        """See `Training`."""
        return build(config, self.shape, seed)

    @classmethod
    def rebuild(cls, config: ForecasterSettings, files: ModelFiles) -> Any:
        """See `Training`."""
        return build(config, ForecastShape.from_json(files.config.get("shape")), 0)

    def batches(self, epoch: int, *, rank: int, world: int) -> TrainingWindows:
        """See `recurra.train.Task`."""
        return TrainingWindows(
            self._source,
            self._rows,
            batch=self.data.batch,
            seed=self.job.train.seed,
            epoch=epoch,
            most=self.data.windows,
            rank=rank,
            world=world,
        )

    def loss(self, batch: Any, state: Any) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`."""
        device = self.device
        values, known, static = (
            torch.from_numpy(part).to(device) for part in (batch.values, batch.known, batch.static)
        )
        s, first = self.shape, self._first
        read = values[:, :, : s.context] if s.direct else values
        numbers = self.module(read, known, static)
        present = torch.from_numpy(batch.present[:, :, first:]).to(device)
        losses = self._output.loss(numbers, values[:, :, first:].expand(numbers.shape[:-1]))
        count = int(batch.present[:, :, first:].sum())
        return (losses * present).sum() / s.members, count, None

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: the loss of the held-out steps."""
        total, count, far = 0.0, 0, []
        for first in range(0, len(self._held_out), 256):
            batch = self._source.cut(self._held_out[first : first + 256])
            loss, values, _ = self.loss(batch, None)
            total, count = total + float(loss), count + values
            if self._calibrates:
                far.append(self._distances(batch))
        if far:
            low, high = outer_levels(self._said) or (0.0, 0.0)
            self._width = factor(np.concatenate(far), high - low)
        self.metrics = {"loss": mean(total, count)}
        return self.metrics

    def _distances(self, batch: Any) -> np.ndarray:
        """Of the values of windows, (N,), how far they are from the median: see `calibration`."""
        s = self.shape
        values, known, static = self.moved((batch.values, batch.known, batch.static))
        numbers = self.module(values[:, :, : s.context], known, static).detach().cpu().numpy()
        came = batch.values[:, :, s.context :]
        there = np.asarray(batch.present[:, :, s.context :], bool)
        return distances(self._said, self._said.joined(numbers), came)[there]

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        return _FORWARD_SHARE * len(self._held_out) / self.data.batch

    def describe(self) -> dict[str, Any]:
        """See `Training`."""
        panel = self.prepared.panel
        read = {name: getattr(self.data, name) for name in SeriesSettings.names()}
        if panel.writer is not None and panel.writer.order:
            # A file of one row cannot say which of day and month comes first; this one could.
            read["dates"] = panel.writer.order
        return {
            "shape": self.shape.to_json(),
            "scaler": self.scaler.to_json(),
            "series": SeriesSettings(**read).to_json(),
            **({} if self._width == 1 else {"widening": self._width}),
            **({} if self.prepared.rows is None else {"rows": {"single": self.prepared.single}}),
        }

    def card(self, written: Mapping[str, Any]) -> Card:
        """See `Training`."""
        config, training = self.model, written["training"]
        several = f", {config.members} of them side by side" if config.members > 1 else ""
        return Card(
            title="forecaster",
            pipeline="time-series-forecasting",
            tags=("forecasting",),
            about=f"{layers_of(config)}{several}: from {config.context} steps of history, "
            f"{config.segment} at once, {config.horizon} steps ahead ({config.mode}, "
            f"{config.output}). Trained on {training['series']:,} series of "
            f"{', '.join(map(shown, training['columns']))} with {training['steps']:,} steps "
            f"(SHA-256 `{training['sha256']}`)",
            held_out="held-out steps",
            example='model.predict("series.csv")[0]',
        )

    def _untaught(self) -> tuple[str, ...]:
        """Which series training learns nothing from, and why."""
        kept = self._kept
        used = set(self._rows[:, 0].tolist())
        short = [k for k in kept if k not in used]
        empty = [k for k in range(len(self.prepared.train)) if k not in kept]
        notes = []
        if len(self._rows) == 1:
            notes.append(
                "one window to train on, which teaches little: give longer series, a shorter "
                "lookback or a shorter horizon"
            )
        for which, why in ((short, "too short"), (empty, "without a value before the validation")):
            if which:
                first, count = self.prepared.panel.series[which[0]], len(which)
                of = f"{count:,} of {len(self.prepared.train):,} series"
                size = f"{self.prepared.train[which[0]]:,} steps to train on"
                notes.append(f"{of} teach nothing, being {why}: the first: {first.name!r}, {size}")
        return tuple(notes)

    @property
    def _first(self) -> int:
        """The step of a window from which on values are forecast."""
        s = self.shape
        return s.context if s.direct else s.reach + s.segment

    def _check_targets(self) -> None:
        """A loss is a mean over values: there has to be one to train on, and one to validate on."""
        if not self._source.targets(self._held_out, self._first).any():
            raise InputError(
                "series: expected values in the steps of the validation, all are missing: validate "
                "on more steps (--valid-steps), hold out others (--hold-out), or fill what is "
                "missing (--missing linear)"
            )
        if not self._source.targets(self._rows, self._first).any():
            raise InputError(
                "series: expected values to forecast in training, all are missing: shorten the "
                "lookback (--lookback), or fill what is missing (--missing linear)"
            )

    def _validation_rows(self) -> np.ndarray:
        horizon, found = self.model.horizon, []
        ends = zip(self.prepared.train, self.prepared.valid, strict=True)
        spans = [(i, end - train, end) for i, (train, end) in enumerate(ends)]
        total = sum(max(steps - horizon + 1, 0) for _, steps, _ in spans)
        stride = self.data.valid_stride or max(1, total // _VALIDATION)
        for index, steps, end in spans:
            if steps >= horizon and end > steps:
                at = origins(end, horizon, steps, stride)
                found.append(np.stack([np.full_like(at, index), at], axis=1))
        if not found:
            raise InputError(
                f"series: expected some with more than the {horizon} steps of the validation, "
                f"the longest has {max(self.prepared.valid)}: give longer series, or forecast a "
                "shorter horizon (--horizon)"
            )
        return np.concatenate(found)


def build(config: ForecasterSettings, shape: ForecastShape, seed: int) -> Forecaster:
    """Return the module with freshly drawn weights."""
    with drawn(seed):
        return Forecaster(
            shape,
            config.members,
            lambda: Recurrent(config.cell, config.embedding, config.hidden, **config.arguments()),
            config.dropout,
        )


SIDE = ForecasterTraining
