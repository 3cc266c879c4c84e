"""Runs of several processes, forked from one that has imported torch; prints what came of each.

Under torchrun (`rank_runs.py FOLDER torchrun`) it is one of the processes, and only trains.
"""

import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from recurra.errors import RecurraError
from recurra.train import Interrupted, TrainConfig, fit
from train.kill_runs import left
from train.small import SmallTask

STEADY = TrainConfig(steps=60, eval_every=20, checkpoint_every=0.02, threads=1)
LONG = TrainConfig(steps=100_000, eval_every=50_000, checkpoint_every=0.1, threads=1)


class Failing(SmallTask):
    """Breaks in its 30th step."""

    def loss(self, batch, state):
        if self.calls == 29:
            raise ZeroDivisionError("as planned")
        return super().loss(batch, state)


def train(path: Path, config: TrainConfig, task: SmallTask) -> None:
    fit(task, path, config, report=False)


def start(folder: Path, world: int, work: Callable[[int], None]) -> list[int]:
    """Fork the ranks; what goes wrong in one is written to `folder/rank-R`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(world):
        child = os.fork()
        if child == 0:
            os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            code = 1
            try:
                work(rank)
                code = 0
            except Interrupted as error:
                code = error.exit_code
            except BaseException as error:
                name = "RecurraError" if isinstance(error, RecurraError) else "other"
                (folder / f"rank-{rank}").write_text(f"{name} {type(error).__name__}: {error}")
            finally:
                os._exit(code)
        children.append(child)
    return children


def wait(children: list[int], seconds: float = 60) -> list[int | None]:
    """The exit codes; None for what had to be killed after the time."""
    end = time.monotonic() + seconds
    codes: list[int | None] = []
    for child in children:
        done, status = 0, 0
        while not done and time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.002)
        if not done:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        codes.append(os.waitstatus_to_exitcode(status) if done else None)
    return codes


def errors(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("rank-*"))]


def forget(folder: Path) -> None:
    for path in folder.glob("rank-*"):
        path.unlink()


def equal(folder: Path) -> object:
    train(folder / "alone", STEADY, SmallTask(dropout=0.0))
    return wait(start(folder, 2, lambda _: train(folder / "two", STEADY, SmallTask(dropout=0.0))))


def killed(folder: Path) -> object:
    assert wait(start(folder, 2, lambda _: train(folder / "unbroken", STEADY, SmallTask()))) == [
        0,
        0,
    ]
    kills, moments, codes = 0, random.Random(1), [None]
    while None in codes:
        children = start(folder, 2, lambda _: train(folder / "run", STEADY, SmallTask()))
        codes = wait(children, moments.uniform(0.1, 0.3 + kills / 5))
        kills += None in codes
        if None in codes:  # one may have had the time to miss the other
            forget(folder)
    return {
        "codes": codes,
        "kills": kills,
        "same": left(folder / "run") == left(folder / "unbroken"),
    }


def other_world(folder: Path) -> object:
    return wait(start(folder, 1, lambda _: train(folder / "unbroken", STEADY, SmallTask())))


def interrupted(folder: Path) -> object:
    path = folder / "interrupted"
    children = start(folder, 2, lambda _: train(path, LONG, SmallTask()))
    while not any(path.glob("checkpoints/step-[1-9]*")):
        time.sleep(0.01)
    os.kill(children[1], signal.SIGINT)
    return wait(children, 30)


def broken(folder: Path) -> object:
    def work(rank: int) -> None:
        train(folder / "broken", LONG, Failing() if rank == 1 else SmallTask())

    return wait(start(folder, 2, work), 30)


def refused(folder: Path) -> object:
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.tex").write_text("mine")
    return wait(start(folder, 2, lambda _: train(folder / "taken", STEADY, SmallTask())), 30)


def poisoned(folder: Path) -> object:
    def work(rank: int) -> None:
        train(folder / "poisoned", STEADY, SmallTask(poison=[7] if rank == 1 else []))

    return wait(start(folder, 2, work))


SCENES = (equal, killed, other_world, interrupted, broken, refused, poisoned)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # a kill takes nothing that the system has been given
    train(folder / "warm", TrainConfig(steps=2), SmallTask())
    found = {}
    for scene in SCENES:
        forget(folder)
        found[scene.__name__] = [scene(folder), errors(folder)]
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[2:] == ["torchrun"]:
        train(Path(sys.argv[1]) / "torchrun", STEADY, SmallTask(dropout=0.0))
    else:
        main(Path(sys.argv[1]))
