"""Kills training of all six tasks in a row with SIGKILL, and compares what is left at the end.

`make kills` runs it. Each run is killed at random moments until it comes to its end, and goes on
with another number of threads each time; then its model, its last checkpoint and its metrics must
be those of a run that was not killed. Arguments: a folder to work in, the number of kills.
"""

import hashlib
import json
import os
import random
import sys
import time
from pathlib import Path

import torch

import recurra
from tasks.classified import ordered
from tasks.forecaster.test_task import seasonal
from tasks.tagged import TINY as TAGGER
from tasks.tagged import grammar
from tasks.texts import prose
from tasks.tones import TINY as TRANSCRIBER
from tasks.tones import recordings
from tasks.translator.test_task import LETTERS, reversals
from train.kill_runs import left, wait

STEPS = 24
HOW = {"steps": STEPS, "eval_every": 7, "checkpoint_every": 0.02, "progress": False, "lr": 0.003}
THREADS = (1, 2, 3)
TEXTS, TAGGED, TONES = ordered(80), grammar(80, seed=0), recordings(24)


def fits(folder: Path) -> dict[str, tuple[type, dict, tuple, dict]]:
    """By task: its class, the settings of the model, data and held-out data, more settings."""
    text = folder / "prose.txt"
    text.write_text(prose(3000))
    some = tuple(part[:16] for part in TEXTS)
    series = {"horizon": 6, "lookback": 12, "hidden": 12}
    return {
        "lm": (recurra.LanguageModel, {"hidden": 16}, (text, None), {"batch": 4, "bptt": 16}),
        "classify": (recurra.SequenceClassifier, {"hidden": 12}, (TEXTS, some), {"batch": 8}),
        "tag": (recurra.SequenceTagger, TAGGER, (TAGGED, TAGGED[:12]), {"batch": 8}),
        "forecast": (recurra.Forecaster, series, (seasonal(2, 120), None), {"batch": 8}),
        "translate": (
            recurra.Translator,
            {**LETTERS, "hidden": 12},
            (reversals(120), reversals(20, 1)),
            {"batch": 16},
        ),
        "transcribe": (recurra.Transcriber, TRANSCRIBER, (TONES, TONES[:6]), {"batch": 8}),
    }


def train(fit: tuple[type, dict, tuple, dict], path: Path, threads: int) -> None:
    kind, model, (data, valid), settings = fit
    kind(**model).fit(data, valid=valid, out=path, threads=threads, **HOW, **settings)


def start(fit: tuple[type, dict, tuple, dict], path: Path, threads: int) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            train(fit, path, threads)
            code = 0
        finally:
            os._exit(code)
    return child


def everything(path: Path) -> dict[str, object]:
    """What must be the same: see `left`; of the task's own files every byte, too."""
    own = sorted(p for p in (path / "data").rglob("*") if p.is_file())
    hashes = {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in own}
    return {**left(path), "data": hashes}


def main(folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # a kill takes nothing that the system has been given
    tasks, wanted, seconds = fits(folder), {}, {}
    for name, fit in tasks.items():  # what is imported and set up late, children then have
        train(fit, folder / f"warm-{name}", 1)
        begun = time.monotonic()
        assert wait(start(fit, folder / f"unbroken-{name}", 1), 120), name
        seconds[name] = time.monotonic() - begun
        wanted[name] = everything(folder / f"unbroken-{name}")
    moments, killed, runs = random.Random(7), dict.fromkeys(tasks, 0), 0
    while sum(killed.values()) < kills:
        for name, fit in tasks.items():
            path, calls = folder / f"{name}-{runs}", 0
            while not wait(
                start(fit, path, THREADS[calls % len(THREADS)]),
                moments.uniform(0.05, 0.9) * seconds[name] if calls < 4 else 120,
            ):
                killed[name], calls = killed[name] + 1, calls + 1
            seconds[name] *= 0.7 if calls == 0 else 1.0  # it was set up before, and never hit
            if everything(path) != wanted[name]:
                sys.exit(
                    f"{name}: a run killed {calls} times differs from the unbroken one: {path}"
                )
        runs += 1
    print(json.dumps({"killed": sum(killed.values()), "runs": runs * len(tasks), **killed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
