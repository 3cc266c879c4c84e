"""Guided by coverage (atheris): python -m fuzz.hunt TARGET SECONDS FOLDER [libFuzzer's options]

Inputs that reach new code gather in FOLDER/TARGET; the first fault ends the run, and its input is
FOLDER/TARGET-fault-….
"""

import contextlib
import gc
import os
import shutil
import sys
import types
from pathlib import Path

from fuzz.oracle import Fault, bound_memory
from fuzz.targets import seeds
from fuzz.trial import execute, home, numbered


def instrument():
    """Count what is run in every function of ours that is imported by now."""
    import atheris

    # Its hook on imports does not see modules of an editable installation.
    for found in gc.get_objects():
        if isinstance(found, types.FunctionType) and str(found.__module__).startswith("recurra"):
            with contextlib.suppress(
                Exception
            ):  # functions that were made without a code of theirs
                atheris.instrument_func(found)


def gather(name, folder):
    """The folder of a target's inputs, with some to begin with."""
    gathered = Path(folder) / name
    gathered.mkdir(parents=True, exist_ok=True)
    if not any(gathered.iterdir()):
        for number, content in enumerate(seeds(name)):
            (gathered / f"seed-{number}").write_bytes(b"\0" + bytes([number % 256]) + content)
        for number in range(32):
            (gathered / f"made-{number}").write_bytes(numbered(name, number))
    return gathered


def main(name, seconds, folder, options):
    """Hunt for some seconds. Ends the process, as libFuzzer does."""
    import atheris

    gathered, place = gather(name, folder), home()
    for number in range(40):  # imports what it needs
        with contextlib.suppress(Fault):
            execute(name, numbered(name, number), place)
    instrument()
    bound_memory()
    words = [sys.argv[0], str(gathered), f"-max_total_time={seconds}", "-timeout=60"]
    words += ["-max_len=16384", "-print_final_stats=1", "-rss_limit_mb=8000"]
    words += [f"-artifact_prefix={gathered}-fault-", *options]
    atheris.Setup(words, lambda data: execute(name, data, place))
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:])
