"""Kills training runs with SIGKILL until 50 have died, and prints what the survivors left.

torch is imported once; each run is a fork. Arguments: a folder to work in, the number of kills.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from recurra.storage import Checkpoints
from recurra.train import TrainConfig, fit, read_metrics
from train.small import SmallTask

CONFIGURATIONS = 6
TIMES = ("seconds", "tokens_per_second")


def config(run: int) -> TrainConfig:
    return TrainConfig(
        steps=80,
        eval_every=13,
        schedule="plateau" if run % 2 else "cosine",
        optimizer="sgd" if run % 3 == 2 else "adamw",
        lr=0.1 if run % 3 == 2 else 0.01,
        momentum=0.9,
        checkpoint_every=(0.0, 0.03, 0.1)[run % 3],
        threads=1,
    )


def train(path: Path, run: int) -> None:
    fit(SmallTask(), path, config(run), identity={"data": "periodic"}, report=False)


def start(path: Path, run: int) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            train(path, run)
            code = 0
        finally:
            os._exit(code)
    return child


def wait(child: int, seconds: float) -> bool:
    """Whether the child ended by itself within the time; it is killed where it did not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0, f"a run failed with status {status}"
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == 0


def left(path: Path) -> dict[str, object]:
    """What must be the same: every byte of the model and of the state, the metrics but times."""
    files = sorted((path / "best").iterdir())
    latest, skipped = Checkpoints(path / "checkpoints").latest()
    assert latest is not None
    assert not skipped
    files.append(latest.path / "tensors.safetensors")
    times = ("seconds", "train_seconds", "line_seconds")
    position = {k: v for k, v in latest.state["position"].items() if k not in times}
    lines = [
        {k: v for k, v in record.items() if k not in TIMES}
        for record in read_metrics(path / "metrics.jsonl")
    ]
    return {
        "files": {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files},
        "metrics": lines,
        "position": position,
        "ranks": hashlib.sha256(json.dumps(latest.state["ranks"]).encode()).hexdigest(),
    }


def main(folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # a kill takes nothing that the system has been given
    train(folder / "warm", 1)  # what torch imports and sets up late, children then have
    wanted = []
    for run in range(CONFIGURATIONS):
        unbroken = folder / f"unbroken-{run}"
        assert wait(start(unbroken, run), 60)
        wanted.append(left(unbroken))
    moments = random.Random(4)
    killed = runs = 0
    seconds = 0.3
    while killed < kills:
        path = folder / f"run-{runs}"
        while not wait(start(path, runs), moments.uniform(0.0, seconds)):
            killed += 1
            seconds *= 1.1  # or a slow machine never gets to the end
        seconds *= 0.6  # or a fast one is never hit
        if left(path) != wanted[runs % CONFIGURATIONS]:
            sys.exit(f"run {runs} differs from the unbroken one: {path}")
        runs += 1
    print(json.dumps({"killed": killed, "runs": runs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
