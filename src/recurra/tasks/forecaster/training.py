"""Training a forecaster: the torch side of the task."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.errors import InputError
from recurra.nn import Recurrent
from recurra.storage import save_model
from recurra.tasks.answers import told_of
from recurra.tasks.figures import mean
from recurra.tasks.forecaster.card import write_card
from recurra.tasks.forecaster.distributions import output
from recurra.tasks.forecaster.network import Forecaster
from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.runtime import ForecastShape
from recurra.tasks.forecaster.scaling import Scaler
from recurra.tasks.forecaster.scores import origins
from recurra.tasks.forecaster.settings import ForecastDataConfig, ForecasterConfig, SeriesConfig
from recurra.tasks.forecaster.windows import (
    TrainingWindows,
    WindowSource,
    training_rows,
)
from recurra.tasks.job import Job
from recurra.train import FitResult
from recurra.train.distributed import World
from recurra.train.run import run

#: About so many windows are forecast in a validation.
_VALIDATION = 1000
_FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class Split:
    """Series, and how many of the steps of each are for training, and then for validation."""

    panel: Panel
    train: list[int]
    valid: list[int]

    @property
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
    assert isinstance(data, ForecastDataConfig)
    assert isinstance(model, ForecasterConfig)
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


class ForecastTask:
    """What the training loop needs to know (see `recurra.train.Task`)."""

    def __init__(self, job: Job, parts: Split) -> None:
        assert isinstance(job.model, ForecasterConfig)
        assert isinstance(job.data, ForecastDataConfig)
        self._job, self._model, self._data, self._parts = job, job.model, job.data, parts
        panel = parts.panel
        before = [one.until(end) for one, end in zip(panel.series, parts.train, strict=True)]
        kept = [index for index, one in enumerate(before) if np.isfinite(one.values).any()]
        learnt = replace(panel, series=tuple(before[index] for index in kept))
        if not kept:
            raise InputError(
                "series: expected values to train on, all are held out or missing: hold out less "
                "(--hold-out), or fill what is missing (--missing linear)"
            )
        self.scaler = Scaler.fit(learnt, self._model)
        if job.files is not None:
            self.scaler = Scaler.from_json(job.files.config["scaler"]).joined(self.scaler)
        self.shape = self._model.shape(
            channels=len(panel.columns),
            known=self.scaler.known_size,
            static=self.scaler.static_size,
        )
        whole = [one.until(end) for one, end in zip(panel.series, parts.valid, strict=True)]
        tracks = self.scaler.tracks(
            replace(panel, series=tuple(whole)),
            lengths=[max(end, 1) for end in parts.train],
        )
        self._source = WindowSource(tracks, self.shape, self._model.normalise)
        self._rows = training_rows(parts.train, self.shape, self._data.stride)
        self._held_out = self._validation_rows()
        self._check_targets()
        self._output = output(
            self._model.output, norm=self._model.norm, levels=self._model.quantiles
        )
        self.module = build(self._model, self.shape, job.train.seed)
        if job.files is not None:
            self._go_on(job.files.tensors)
        self._metrics: dict[str, float] = {}
        self.left_out, self.notes = panel.left_out, self._untaught(kept)
        self.planned = ""  # see `recurra.train.Planned`

    def batches(self, epoch: int, *, rank: int, world: int) -> TrainingWindows:
        """See `recurra.train.Task`."""
        return TrainingWindows(
            self._source,
            self._rows,
            batch=self._data.batch,
            seed=self._job.train.seed,
            epoch=epoch,
            most=self._data.windows,
            rank=rank,
            world=world,
        )

    def loss(self, batch: Any, state: Any) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`."""
        device = next(self.module.parameters()).device
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
        total, count = 0.0, 0
        for first in range(0, len(self._held_out), 256):
            batch = self._source.cut(self._held_out[first : first + 256])
            loss, values, _ = self.loss(batch, None)
            total, count = total + float(loss), count + values
        self._metrics = {"loss": mean(total, count)}
        return self._metrics

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        return _FORWARD_SHARE * len(self._held_out) / self._data.batch

    def save(self, directory: Path) -> None:
        """See `recurra.train.Task`."""
        config = self._config()
        state = self.module.state_dict()
        save_model(
            directory,
            config=config,
            tensors={name: value.cpu().numpy() for name, value in state.items()},
            tokenizer=None,
            card=write_card(self._model, config["training"], self._metrics),
        )

    def _untaught(self, kept: list[int]) -> tuple[str, ...]:
        """Which series training learns nothing from, and why."""
        used = set(self._rows[:, 0].tolist())
        short = [k for k in kept if k not in used]
        empty = [k for k in range(len(self._parts.train)) if k not in kept]
        notes = []
        for which, why in ((short, "too short"), (empty, "without a value before the validation")):
            if which:
                first, count = self._parts.panel.series[which[0]], len(which)
                of = f"{count:,} of {len(self._parts.train):,} series"
                size = f"{self._parts.train[which[0]]:,} steps to train on"
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
        horizon, found = self._model.horizon, []
        ends = zip(self._parts.train, self._parts.valid, strict=True)
        spans = [(i, end - train, end) for i, (train, end) in enumerate(ends)]
        total = sum(max(steps - horizon + 1, 0) for _, steps, _ in spans)
        stride = self._data.valid_stride or max(1, total // _VALIDATION)
        for index, steps, end in spans:
            if steps >= horizon and end > steps:
                at = origins(end, horizon, steps, stride)
                found.append(np.stack([np.full_like(at, index), at], axis=1))
        if not found:
            raise InputError(
                f"series: expected some with more than the {horizon} steps of the validation, "
                f"the longest has {max(self._parts.valid)}"
            )
        return np.concatenate(found)

    def _go_on(self, tensors: Any) -> None:
        mine = self.module.state_dict()
        if {n: t.shape for n, t in tensors.items()} != {n: tuple(t.shape) for n, t in mine.items()}:
            raise InputError(
                "fit: the series have other columns or covariates than those this model was "
                "trained on: make a new forecaster"
            )
        self.module.load_state_dict({n: torch.from_numpy(np.array(t)) for n, t in tensors.items()})

    def _config(self) -> dict[str, Any]:
        job, panel = self._job, self._parts.panel
        read = {name: getattr(self._data, name) for name in SeriesConfig.names()}
        if panel.writer is not None and panel.writer.order:
            # A file of one row cannot say which of day and month comes first; this one could.
            read["dates"] = panel.writer.order
        return {
            "task": "forecaster",
            "architecture": self._model.architecture().to_json(),
            "model": self._model.to_json(),
            "shape": self.shape.to_json(),
            "scaler": self.scaler.to_json(),
            "series": SeriesConfig(**read).to_json(),
            "training": {
                "series": len(panel),
                "columns": list(panel.columns),
                "steps": int(sum(self._parts.train)),
                "sha256": self._parts.sha256,
                **told_of(self),
                "data": self._data.to_json(),
                "train": job.train.lasting(self.planned),
            },
        }


def build(config: ForecasterConfig, shape: ForecastShape, seed: int) -> Forecaster:
    """Return the module with freshly drawn weights."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Forecaster(
            shape,
            config.members,
            lambda: Recurrent(config.cell, config.embedding, config.hidden, **config.arguments()),
            config.dropout,
        )


def train(job: Job) -> tuple[FitResult, Path, ExitStack]:
    """Train as `job` says: see `recurra.tasks.base.TrainingSide`."""
    parts = split(job)

    def make(out: Path, world: World) -> tuple[ForecastTask, dict[str, Any]]:
        job.model.check_precision(world.device.type)
        return ForecastTask(job, parts), {"series": parts.sha256}

    return run(
        make,
        job.train,
        out=job.out,
        settings=job.settings,
        fresh=job.fresh,
        callbacks=job.callbacks,
        started=job.started,
    )
