"""From a task's job to a trained model: directory, processes, threads, around `fit`."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recurra.ops import fixed_order
from recurra.train.config import TrainConfig
from recurra.train.distributed import World, choose_device, join
from recurra.train.events import Callback, FitResult
from recurra.train.run_directory import check_directory
from recurra.train.task import Task
from recurra.train.training import fit

#: Makes the task, and what else, as JSON, identifies its data: what it reads of them is hashed.
Make = Callable[[Path, World], tuple[Task, Mapping[str, Any]]]


def run(
    make: Make,
    config: TrainConfig,
    *,
    out: Path | None,
    settings: Mapping[str, Any],
    fresh: bool,
    callbacks: Sequence[Callback],
    started: float,
) -> tuple[FitResult, Path, ExitStack]:
    """Train the task that `make` makes, in the directory of its run.

    Args:
        make: given the run's directory and the processes; called on every one. It reads the data,
            so that what is wrong with them is told before anything is written.
        config: how to train.
        out: directory of the run; None for a temporary one.
        settings: as JSON, what a run shares with the one it continues, besides the data.
        fresh, callbacks, started: as in `fit`.

    Returns:
        The result, the directory of the best model, and what removes that directory again where
        `out` is None.
    """
    device = choose_device(config.device)
    with ExitStack() as stack, fixed_order(config.threads):
        world = stack.enter_context(join(device))
        kept = out is not None
        if out is None:
            folder = tempfile.TemporaryDirectory(prefix="recurra-")
            out = Path(world.tell(str(stack.enter_context(folder))))
        directory = out
        world.on_first(lambda: check_directory(directory, {}))
        task, data = make(directory, world)
        result = fit(
            task,
            directory,
            config,
            identity={**settings, **data},
            fresh=fresh,
            callbacks=callbacks,
            started=started,
            report=kept,  # nobody can read one that is removed again
        )
        # No rank may take the directory away while another still reads it.
        stack.callback(world.total, [0.0])
        return result, directory / "best", stack.pop_all()
