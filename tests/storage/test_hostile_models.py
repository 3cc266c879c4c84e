"""Every kind of model directory with one value, dtype or shape changed, and sealed again.

What comes is a model that answers, or one line; in a second, with little memory.
RECURRA_FUZZ=2000 in the environment tries that many changes of each kind.
"""

import copy
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from recurra.storage.manifest import read_manifest, write_manifest
from recurra.storage.tensors import DTYPES, read_tensors, write_tensors

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
KINDS = sorted(path.parent.name for path in GOLDEN.glob("*/model"))
COUNT = int(os.environ.get("RECURRA_FUZZ", "0"))

#: What may stand where something else was.
VALUES = (
    None, True, False, 0, 1, -1, 2, 3, 7, 1 << 16, 1 << 31, 10**9, 1 << 62, 10**30, -(10**9),
    0.5, -0.5, 1e300, 1e-300, "", "a", "lstm", "0", "../../etc/passwd", "\0", "\ud800", "é" * 300,
    [], [0], [10**9], [None], ["a", "a"], [[]], {}, {"a": 1}, {"": None},
)  # fmt: skip


def places(value, path=()):
    """The path of every value inside a value."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, len(value) // 2, len(value) - 1} & set(range(len(value)))):
            yield from places(value[index], (*path, index))


def change(value, path, chance):
    """A copy with another value at the path, or without it, or with it twice."""
    whole = copy.deepcopy(value)
    if not path:
        return chance.choice(VALUES)
    at = whole
    for step in path[:-1]:
        at = at[step]
    how, old = chance.random(), at[path[-1]]
    if how < 0.1:
        del at[path[-1]]
    elif how < 0.15 and isinstance(at, dict):
        at[f"{path[-1]}_"] = old
    elif how < 0.4 and isinstance(old, int | float) and not isinstance(old, bool):
        at[path[-1]] = chance.choice((old + 1, old - 1, old * 2, -old, float(old), str(old)))
    elif how < 0.3 and isinstance(old, str | list):
        at[path[-1]] = chance.choice((old + old, old[:-1], old[::-1]))
    else:
        at[path[-1]] = chance.choice(VALUES)
    return whole


def change_tensors(tensors, chance):
    """One tensor more, less, or with another dtype, shape or contents."""
    changed = dict(tensors)
    name = chance.choice(sorted(changed))
    old = changed[name]
    how = chance.randrange(8)
    if how == 0:
        del changed[name]
    elif how == 1:
        changed[f"{name}_"] = old
    elif how in (2, 3):
        with np.errstate(all="ignore"):
            changed[name] = old.astype(DTYPES[chance.choice(sorted(DTYPES))])
    elif how == 4:
        shapes = ((0,), (), (1,) * 20, (0, 1 << 40), old.shape[::-1], (*old.shape, 1))
        shape = chance.choice((*shapes, tuple(n + 1 for n in old.shape)))
        changed[name] = np.resize(old, shape) if 0 not in shape else np.zeros(shape, old.dtype)
    elif how == 5:
        changed[name] = old[: max(0, len(old) - 1)] if old.ndim else old
    elif how == 6:
        numbers = (np.nan, np.inf, 3e38, -3e38, 1e-45, 0)
        changed[name] = (
            np.full_like(old, chance.choice(numbers)) if old.dtype.kind == "f" else old * 0 - 1
        )
    else:
        other = chance.choice(sorted(changed))
        changed[name], changed[other] = changed[other], changed[name]
    return changed


def mutated(source, target, chance):
    """Copy a model with one change; return what was changed."""
    shutil.copytree(source, target)
    sealed = read_manifest(source)
    names = ["config.json", "config.json", "model.safetensors"]
    names += ["tokenizer.json"] * (target / "tokenizer.json").exists()
    name = chance.choice(names)
    if name == "model.safetensors":
        write_tensors(target / name, change_tensors(read_tensors(source / name), chance))
        told = name
    else:
        value = json.loads((source / name).read_bytes())
        path = chance.choice(list(places(value)))
        changed = change(value, path, chance)
        (target / name).write_text(json.dumps(changed))
        told = f"{name} {path}"
    (target / "manifest.json").unlink()
    write_manifest(target, kind=sealed.kind, extra=sealed.extra)
    return told


def answers(kind, path):
    """Load a model and ask what the recorded one was asked, where it is asked little."""
    import golden.outputs as outputs
    import recurra

    recurra.load(path)
    ask = next((f for start, f in ASK.items() if kind.startswith(start)), None)
    if ask is not None:
        getattr(outputs, ask)(path)


ASK = {
    "lm-": "language_model",
    "classifier-": "classifier",
    "tagger-": "tagger",
    "forecaster-": "forecaster",
    "translator-": "translator",
    "transcriber-": "transcriber",
}


def main(kind, start, count, folder):
    """Try changes; print those that end in anything but an answer or one line."""
    from recurra.errors import RecurraError

    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    for seed in range(start, start + count):
        chance = random.Random(f"{kind} {seed}")
        target = Path(folder) / "model"
        shutil.rmtree(target, ignore_errors=True)
        told = mutated(GOLDEN / kind / "model", target, chance)
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        wrong = ""
        try:
            answers(kind, target)
        except RecurraError as error:
            wrong = "more than a line" if "\n" in str(error) or len(str(error)) > 2000 else ""
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            wrong = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        took = time.monotonic() - started
        if grown > 600 << 10:
            wrong += f" {grown >> 10} MiB"
        if took > 4 and seed > start:
            wrong += f" {took:.1f} s"
        if wrong:
            print(f"{kind} {seed}: {told}: {wrong}", flush=True)


def fuzz(kind, start, count, folder):
    paths = [str(GOLDEN.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-W", "ignore", "-m", "storage.test_hostile_models"]
    done = subprocess.run(
        [*words, kind, str(start), str(count), str(folder)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_model_answers_or_is_refused_in_a_line(kind, tmp_path):
    fuzz(kind, 0, COUNT or 12, tmp_path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
