"""The process in which one library is measured: `python -m bench.worker MODULE`.

Reads requests from standard input and answers on standard output, a line of JSON each; started and
asked by `bench.turns`. A library has a process of its own so that another's threads, allocator and
settings have no part in its times; and the answer to a block comes only when the process rests,
because threads of OpenMP go on spinning for a while after their work and would take the next
library's processor.
"""

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.peers import Job

#: How long a block warms up; a first call longer than several of these counts.
WARM = 0.02
#: A process rests when it takes less than a twentieth of the processor, over this many seconds.
REST, PATIENCE = 0.01, 1.0


def block(run: Callable[[], object], seconds: float) -> list[float]:
    """Call for so many seconds, at least once; return each call's time without the first ones."""
    clock = time.perf_counter
    gc.disable()
    begin = now = clock()
    while now - begin < WARM:
        before = now
        run()
        now = clock()
    times = [now - before] if now - before > 5 * WARM else []
    end = clock() + seconds - sum(times)
    while not times or clock() < end:
        before = clock()
        run()
        times.append(clock() - before)
    gc.enable()
    return times


def rest() -> float:
    """Wait until this process takes no processor; return how long that took, in seconds."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < PATIENCE:
        used = time.process_time()
        time.sleep(REST)
        if time.process_time() - used < REST / 20:
            break
    return time.perf_counter() - begin


class Worker:
    """The requests it understands, a method each."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._jobs: dict[str, Job] = {}

    def forms(self, spec: dict) -> list[str]:
        """The names of what is offered for this work."""
        return list(self._module.forms(spec))

    def make(self, key: str, form: str, spec: dict, file: str) -> None:
        """Get ready, and save what comes out."""
        self._jobs[key] = job = self._module.forms(spec)[form]()
        np.savez(file, **job.result())

    def block(self, key: str, seconds: float) -> tuple[list[float], float]:
        """The times of calls, and how long the process took to rest afterwards."""
        times = block(self._jobs[key].run, seconds)
        return times, rest()

    def drop(self, key: str) -> None:
        """Forget a job."""
        del self._jobs[key]
        gc.collect()


def main() -> None:
    """Answer until the input ends."""
    # Libraries print to the standard output what they like: it goes with their errors.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        module = importlib.import_module(sys.argv[1])
    except ImportError as error:
        print(json.dumps(f"{type(error).__name__}: {error}"), file=answers)
        return
    worker = Worker(module)
    print(json.dumps(None), file=answers)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(getattr(worker, name)(**arguments)), file=answers)


if __name__ == "__main__":
    main()
