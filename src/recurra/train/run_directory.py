"""The directory of a run: opened once, under its lock; continued, refused, or started over."""

import dataclasses
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from recurra.errors import FormatError, InputError, RecurraError
from recurra.storage import (
    BEST,
    Checkpoint,
    Checkpoints,
    RunLock,
    read_json,
    remove_stale,
    write_json,
)
from recurra.storage.manifest import check_version
from recurra.train.budget import Plan
from recurra.train.config import EPOCHS, TrainConfig

CONFIG, METRICS, REPORT = "config.json", "metrics.jsonl", "report.html"
DATA = "data"  # the task's own files: never touched here
_CHECKPOINTS = "checkpoints"
_LOCK = "lock"
_FORMAT, _VERSION = "recurra-run", 1


class RunDirectory:
    """A run on disk. Only rank 0 makes one, and holds `lock` while it does anything with it."""

    def __init__(self, path: Path, config: TrainConfig, identity: Mapping[str, Any]) -> None:
        """`identity` is what else, as JSON, a run must share with the one it continues."""
        self.path = path
        self.config = config
        self.wanted = {"train": config.to_json(), "identity": dict(identity)}
        self.lock = RunLock(path)
        self.checkpoints = Checkpoints(path / _CHECKPOINTS)
        self.notes: list[str] = []

    def open(
        self, *, world: int, device: str, fresh: bool
    ) -> tuple[Plan | None, Checkpoint | None]:
        """Take the lock; returns the recorded plan and the latest checkpoint, where there are any.

        With `fresh` everything of an older run is removed, once it is certain that it is ours.
        Raises InputError where the directory is another's, in use, or of a run with another
        configuration; FormatError where what is there is damaged.
        """
        self._recorded()  # before the lock, which leaves a file behind
        self.lock.acquire()
        recorded = self._recorded()
        for folder in (self.path, self.checkpoints.directory):
            self.notes += remove_stale(folder, self.lock)
        if fresh:
            self._clear()
            recorded = None
        if recorded is None:
            self.record(None)
            return None, None
        try:
            plan = None if recorded["plan"] is None else Plan.from_json(recorded["plan"])
        except RecurraError as error:
            raise FormatError(f"{self.path / CONFIG}: {error}") from None
        plan = self._compared(recorded, plan, world, device)
        checkpoint, skipped = self.checkpoints.latest()
        if plan is not None and checkpoint is None:  # the first is written before the plan
            why = "; ".join(skipped) or f"{self.checkpoints.directory} holds none"
            raise FormatError(
                f"{self.path}: this run cannot go on, no checkpoint of it can be read ({why}): "
                "start over with --fresh, which removes what it has trained, or choose another "
                "--out"
            )
        self.notes += skipped
        self.record(plan)
        return plan, checkpoint

    def record(self, plan: Plan | None) -> None:
        """Write down what the run is."""
        head = {"format": _FORMAT, "version": _VERSION}
        planned = None if plan is None else plan.to_json()
        write_json(self.path / CONFIG, {**head, **self.wanted, "plan": planned})

    def close(self) -> None:
        """Give the lock back."""
        self.lock.release()

    def _recorded(self) -> dict[str, Any] | None:
        """What an earlier run wrote down; None in a directory that is free to use."""
        if not self.path.exists():
            return None
        if not self.path.is_dir():
            raise InputError(f"{self.path}: is a file, a run needs a directory: choose another")
        file = self.path / CONFIG
        if not file.exists():
            names = {entry.name for entry in self.path.iterdir()} - {_LOCK, DATA}
            foreign = sorted(name for name in names if not name.startswith("."))
            if foreign:
                raise InputError(
                    f"{self.path}: holds {', '.join(foreign[:3])} but no {CONFIG} of a run: "
                    "choose another --out"
                )
            return None
        recorded = read_json(file)
        if not isinstance(recorded, dict) or recorded.get("format") != _FORMAT:
            raise InputError(f"{file}: is not of a training run: choose another --out")
        version = recorded.get("version")
        check_version(version, _VERSION, str(file))
        if not {"train", "identity", "plan"} <= recorded.keys() or not all(
            isinstance(recorded[name], dict) for name in ("train", "identity")
        ):
            raise FormatError(f"{file}: not laid out as that of a run: start over with --fresh")
        return recorded

    def _compared(
        self, recorded: Mapping[str, Any], plan: Plan | None, world: int, device: str
    ) -> Plan | None:
        """The plan to go on with; InputError lists what differs from the run found here."""
        free = {field.name for field in dataclasses.fields(TrainConfig) if field.metadata["free"]}
        # A run of before there was a setting had what is now its default.
        then = {**TrainConfig().to_json(), **recorded["train"]}
        before, now = _flat(then), _flat(self.wanted["train"])
        different = {
            name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
        }
        different -= free
        reason = ""
        if plan is not None and different and different <= {"steps", "epochs"}:
            steps = self.config.steps or round((self.config.epochs or EPOCHS) * plan.epoch)
            if self.config.schedule in ("constant", "plateau") and steps > plan.steps:
                different, plan = set(), replace(plan, steps=steps)
            elif self.config.schedule not in ("constant", "plateau"):
                reason = f" (the {self.config.schedule} schedule is fitted to the length)"
            else:
                reason = " (a run can only be made longer)"
        texts = [f"{k} {before.get(k)} there, {now.get(k)} now" for k in sorted(different)]
        before, now = _flat(recorded["identity"]), _flat(self.wanted["identity"])
        keys = sorted(before.keys() | now.keys())
        changed = [k for k in keys if before.get(k) != now.get(k)]
        texts += [_changed(before, now, k) for k in changed if not k.startswith(_CELL)]
        if any(k.startswith(_CELL) for k in changed):
            texts.append("the equations of the cell changed")
        if plan is not None and plan.world != world:
            texts.append(f"processes {plan.world} there, {world} now")
        if plan is not None and plan.device != device:
            texts.append(f"device {plan.device} there, {device} now")
        if texts:
            raise InputError(
                f"{self.path}: holds a run that differs: {'; '.join(texts)}{reason}: use the same, "
                "start over with --fresh, or choose another --out"
            )
        return plan

    def _clear(self) -> None:
        self.checkpoints.clear()
        for name in (METRICS, REPORT):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / BEST, ignore_errors=True)
        (self.path / CONFIG).unlink(missing_ok=True)


def check_directory(path: Path, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
    """Raise InputError where `path` can hold no run, or (unless `fresh`) holds one that differs in
    what of its identity is given: to be asked before the task writes its files there."""
    recorded = RunDirectory(path, TrainConfig(), {})._recorded()
    if recorded is not None and not fresh:
        same = TrainConfig.from_json(recorded["train"])
        wanted = RunDirectory(path, same, {**recorded["identity"], **identity})
        wanted._compared(recorded, None, 1, "")


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted names."""
    if not isinstance(value, Mapping):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat.update(_flat(item, f"{name}.{key}" if name else str(key)))
    return flat


#: What begins the names of all that a run's identity says of a cell that is not the package's.
_CELL = "program."

#: What the hashes of a run's identity are of.
_HASHED = {
    "train": "the training data",
    "valid": "the held-out data",
    "series": "the series",
    "recordings": "the recordings",
    "tokenizer": "the tokenizer",
    "source": "the vocabulary of the sources",
    "target": "the vocabulary of the targets",
    "pretrained": "the language model it begins from",
    "from": "the model it goes on from",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> str:
    """What differs between the identity of a run and that of one that would go on with it."""
    pair = before.get(key), now.get(key)
    if key in _HASHED and all(isinstance(v, str) and _SHA256.fullmatch(v) for v in pair):
        return f"{_HASHED[key]} changed (other contents, or read otherwise)"
    if key in _HASHED and None in pair:
        return f"{_HASHED[key]} {'is new' if pair[0] is None else 'was there and is not now'}"
    return f"{key} {_show(before, key)} there, {_show(now, key)} now"


def _show(values: Mapping[str, Any], key: str) -> str:
    text = str(values.get(key, "nothing"))
    return text if len(text) <= 24 else f"{text[:20]}…"
