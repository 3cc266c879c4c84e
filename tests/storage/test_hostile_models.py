"""Every kind of model directory with one value, dtype or shape changed, and sealed again.

What comes is a model that answers, or one line; in a second, with little memory.
RECURRA_FUZZ=2000 in the environment tries that many changes of each kind.
"""

import os
import random
import resource
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from fuzz.directories import GOLDEN, KINDS, a_model, answers

COUNT = int(os.environ.get("RECURRA_FUZZ", "0"))


def main(kind, start, count, folder):
    """Try changes; print those that end in anything but an answer or one line."""
    from recurra.errors import RecurraError

    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    for seed in range(start, start + count):
        chance = random.Random(f"{kind} {seed}")
        target = Path(folder) / "model"
        told = a_model(kind, target, chance)
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        wrong = ""
        try:
            answers(kind, target)
        except RecurraError as error:
            wrong = "more than a line" if "\n" in str(error) or len(str(error)) > 2000 else ""
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            wrong = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        took = time.process_time() - started
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
