"""What the Transformers in the place of recurrent layers share, whatever the task."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from recurra.baselines.protocol import Budget
from recurra.errors import FormatError, InputError
from recurra.given import NOTHING, LeftOut
from recurra.settings import Settings
from recurra.storage import ModelFiles, read_model
from recurra.tasks.job import Job
from recurra.tasks.network import NetworkConfig
from recurra.train import TrainConfig
from recurra.train.distributed import World
from recurra.train.run import run
from recurra.train.task import Task

Kind = TypeVar("Kind", bound=Task)
#: Makes a task of the job, in the run's directory, for the processes; and what identifies its data.
Make = Callable[[Job, Path, World], tuple[Kind, Mapping[str, Any]]]


def train_rival(
    make: Make[Kind],
    source: Any,
    valid: Any,
    *,
    model: NetworkConfig,
    data: Settings,
    how: TrainConfig,
    budget: Budget,
) -> tuple[Kind, ModelFiles]:
    """Train what `make` makes for the minutes of the budget, where it has none as `how` says.

    Returns the task, and the files of its best model.
    """
    minutes = budget.minutes
    epochs = None if minutes else how.epochs
    train = replace(how, minutes=minutes, epochs=epochs, seed=budget.seed, threads=budget.threads)
    job = Job(source, valid, None, False, model, data, train, None, (), 0.0)
    made: list[Kind] = []

    def made_once(out: Path, world: World) -> tuple[Kind, Mapping[str, Any]]:
        task, identity = make(job, out, world)
        made.append(task)
        return task, identity

    _, best, cleanup = run(
        made_once,
        train,
        out=None,
        settings=job.settings,
        fresh=False,
        callbacks=budget.callbacks,
        started=time.monotonic(),
    )
    with cleanup:
        return made[0], read_model(best)


def set_weights(module: nn.Module, files: ModelFiles) -> None:
    """Give a module the weights of a model directory, and make it ready to be asked.

    Raises:
        FormatError: they are of another network.
    """
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in files.tensors.items()}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        told = str(error).splitlines()[-1].strip()
        raise FormatError(f"{files.path}: model.safetensors: {told}") from error
    module.eval()


class TransformerRival(Generic[Kind]):
    """Base of the rivals that a task's own training side trains, with another network in it."""

    _task: Kind | None = None

    @property
    def left_out(self) -> LeftOut:
        """What of the training data could not be used."""
        return getattr(self._trained(), "left_out", NOTHING)

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        return sum(p.numel() for p in self._trained().module.parameters())

    def save(self, directory: str | Path) -> Path:
        """Write a model directory."""
        self._trained().save(Path(directory))
        return Path(directory)

    def _train(
        self,
        make: Make[Kind],
        source: Any,
        valid: Any,
        *,
        model: NetworkConfig,
        data: Settings,
        how: TrainConfig,
        budget: Budget,
    ) -> ModelFiles:
        """Train; afterwards the task has the weights of the best validation, whose files these
        are."""
        self._task, files = train_rival(
            make, source, valid, model=model, data=data, how=how, budget=budget
        )
        set_weights(self._task.module, files)
        return files

    def _trained(self) -> Kind:
        if self._task is None:
            raise InputError("this transformer is not trained yet: call fit")
        return self._task
