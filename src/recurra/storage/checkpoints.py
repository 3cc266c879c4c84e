"""Checkpoints as directories: written whole, verified, and only then are older ones dropped."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bounded import is_folder
from ..errors import FormatError, InputError
from .directory import atomic_directory
from .disk import discard
from .jsonfile import read_json, write_json
from .manifest import NewerFormatError, verify_manifest
from .tensors import read_tensors, write_tensors

TENSORS = "tensors.safetensors"
STATE = "state.json"
_KIND = "checkpoint"
_STEP = re.compile(r"step-(0|[1-9]\d*)")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training run after `step` steps."""

    step: int
    tensors: dict[str, np.ndarray]
    state: dict[str, Any]
    path: Path


class Checkpoints:
    """The checkpoints of a run: `directory/step-N/`, the newest `keep` of them.

    There is no pointer file to be torn: the latest is the newest that verifies. One process
    writes, under the run's lock.
    """

    def __init__(self, directory: str | Path, *, keep: int = 2) -> None:
        """Of the checkpoints in `directory`; nothing is read or made yet."""
        if keep < 1:
            raise InputError(f"checkpoints: keep: expected at least 1, received {keep}")
        self.directory = Path(directory)
        self.keep = keep
        self._damaged: set[int] = set()

    def steps(self) -> list[int]:
        """The steps that have a directory, verified or not, ascending."""
        if not is_folder(self.directory):
            return []
        matches = (_STEP.fullmatch(p.name) for p in self.directory.iterdir() if is_folder(p))
        return sorted(int(match[1]) for match in matches if match)

    def write(self, step: int, tensors: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> Path:
        """Write `step-N/`; once it verifies, drop all but the newest `keep` that are whole.

        `state` is JSON: dicts with string keys, lists (tuples come back as lists), strings,
        finite floats, integers up to Python's 4,300 digits.
        Raises InputError for a full disk (nothing is lost), for a state that is not JSON, and
        where a whole checkpoint of a later step exists: training went back without `clear`.
        """
        if step < 0:
            raise InputError(f"{self.directory}: expected a step counted from 0, received {step}")
        for later in reversed(self.steps()):
            if later > step and not self._is_damaged(later):
                raise InputError(
                    f"{self._path(later)}: is later than step {step} that is to be written: "
                    "resume from it, or start over with --fresh"
                )
        path = self._path(step)
        with atomic_directory(path, kind=_KIND, extra={"step": step}, replace=True) as folder:
            write_tensors(folder / TENSORS, tensors)
            write_json(folder / STATE, state, indent=None)
        self._damaged.discard(step)
        whole = [s for s in self.steps() if s not in self._damaged]
        for old in self.steps():
            if old not in whole[-self.keep :]:
                discard(self._path(old))
                self._damaged.discard(old)
        return path

    def latest(self, *, strict: bool = False) -> tuple[Checkpoint | None, list[str]]:
        """The newest checkpoint that verifies (None where there is none), and what was skipped.

        The list has one line for each newer one that is damaged. `strict` raises instead.
        Raises FormatError for one by a newer version: to go back behind it would lose it.
        """
        skipped: list[str] = []
        for step in reversed(self.steps()):
            try:
                return self.read(step), skipped
            except NewerFormatError:
                raise
            except (FormatError, InputError) as error:
                if strict:
                    raise
                if isinstance(error, FormatError):
                    self._damaged.add(step)
                skipped.append(f"checkpoint of step {step} skipped: {error}")
        return None, skipped

    def read(self, step: int) -> Checkpoint:
        """The checkpoint of one step, verified. Raises FormatError, InputError."""
        path = self._path(step)
        self._verify(step)
        state = read_json(path / STATE, limit=1 << 30)
        if not isinstance(state, dict):
            raise FormatError(
                f"{path / STATE}: expected a JSON object, found {type(state).__name__}: remove "
                "this checkpoint"
            )
        return Checkpoint(step, read_tensors(path / TENSORS), state, path)

    def clear(self) -> None:
        """Remove all checkpoints: for a run that starts over."""
        for step in self.steps():
            discard(self._path(step))
        self._damaged.clear()

    def _path(self, step: int) -> Path:
        return self.directory / f"step-{step}"

    def _verify(self, step: int) -> None:
        path = self._path(step)
        manifest = verify_manifest(path, kind=_KIND)
        if manifest.extra.get("step") != step or not {TENSORS, STATE} <= manifest.files.keys():
            raise FormatError(
                f"{path}: its manifest is not that of step {step}: give the directory its own name "
                "back, or remove it"
            )

    def _is_damaged(self, step: int) -> bool:
        if step in self._damaged:
            return True
        try:
            self._verify(step)
        except NewerFormatError:
            return False
        except FormatError:
            self._damaged.add(step)
        return step in self._damaged
