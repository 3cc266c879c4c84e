"""Measure several libraries in turns, each in a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.work import CELLS

#: How far results may differ, relative to the largest value of an array: sums of up to 64 * 128
#: products in float32, in another order.
TOLERANCE = 1e-4
#: How much slower than the fastest form another may look at first and be measured all the same.
REACH = 2.0
#: Seconds after which a process that still computes is worth a line.
RESTLESS = 0.5


class Plan(NamedTuple):
    """How long to measure, and with what.

    Attributes:
        rounds: how often each has its turn.
        seconds: of a turn, or one call where that is longer.
        threads: the first processors, to which all processes are bound.
        peers, cells: names of the libraries and cells.
        quick: fewer sizes, too.
        isa: the instruction set that all are restricted to (see `bench.isa`); "": none.
    """

    rounds: int
    seconds: float
    threads: int
    peers: tuple[str, ...]
    cells: tuple[str, ...] = CELLS
    quick: bool = False
    isa: str = ""


class MissingError(Exception):
    """A library that cannot be imported."""


class Library:
    """One library's process.

    Args:
        name: in the results.
        module: what it measures; see `bench.peers`.
        threads: how many.
        processors: that it is bound to; None: the first, as many as threads.
    """

    def __init__(
        self, name: str, module: str, threads: int, processors: list[int] | None = None
    ) -> None:
        self.name = name
        self._made = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
            },
            preexec_fn=partial(_bind, cores(threads) if processors is None else processors),
        )
        if missing := self._read():
            self.close()
            raise MissingError(missing)

    def ask(self, request: str, **arguments: Any) -> Any:
        """Have the process do one of `Worker`'s methods."""
        assert self._process.stdin is not None
        # A process that has ended is found out by what it does not answer.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([request, arguments]) + "\n")
        return self._read()

    def make(self, form: str, spec: Mapping[str, Any], file: Path) -> str:
        """Get a job ready, its results in `file`; return its key."""
        self._made += 1
        key = f"{self._made}"
        self.ask("make", key=key, form=form, spec=dict(spec), file=str(file))
        return key

    def block(self, key: str, seconds: float) -> float:
        """Return the median time of a call in one turn."""
        return statistics.median(self.times(key, seconds))

    def times(self, key: str, seconds: float) -> list[float]:
        """Return the times of the calls of one turn."""
        times, resting = self.ask("block", key=key, seconds=seconds)
        if resting > RESTLESS:
            print(f"bench: {self.name} still computed {resting:.1f} s after its turn", flush=True)
        return [float(time) for time in times]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: the process of {self.name} ended; its message is above")
        return json.loads(line)


def cores(count: int | None) -> list[int]:
    """Return the first processors that this process may use; all with None."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))[:count]
    return list(range(os.cpu_count() or 1))[:count]


def _bind(processors: list[int]) -> None:
    """Leave this process these processors, for libraries that take what there is."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)


@contextmanager
def libraries(modules: Mapping[str, str], threads: int) -> Iterator[list[Library]]:
    """Start a process for each library by name; one that is not installed is left out."""
    with ExitStack() as stack:
        found = []
        for name, module in modules.items():
            try:
                found.append(Library(name, module, threads))
            except MissingError as error:
                print(f"bench: {name} is left out: {error}", flush=True)
            else:
                stack.callback(found[-1].close)
        yield found


class Contender(NamedTuple):
    """A job of a library, in one of its forms."""

    library: Library
    key: str
    form: str


def ready(
    libraries: Sequence[Library], spec: Mapping[str, Any], plan: Plan
) -> dict[str, list[Contender]]:
    """Have each library get ready in its forms; all must compute what the first does.

    Those that are much slower than a library's fastest are dropped; libraries that do not do this
    work are not in what is returned.
    """
    found: dict[str, list[Contender]] = {}
    reference: dict[str, np.ndarray] | None = None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.npz"
        for library in libraries:
            made: list[Contender] = []
            for form in library.ask("forms", spec=dict(spec)):
                made.append(Contender(library, library.make(form, spec, file), form))
                with np.load(file) as saved:
                    result = dict(saved)
                reference = reference or result
                compare(result, reference, f"{library.name} ({form}), {spec}")
            if made:
                found[library.name] = within_reach(made, plan)
    return found


def within_reach(made: Sequence[Contender], plan: Plan) -> list[Contender]:
    """Return the forms that may turn out the fastest, and drop the others."""
    if len(made) == 1:
        return list(made)
    turns = [[c.library.block(c.key, plan.seconds) for c in made] for _ in range(2)]
    times = [min(pair) for pair in zip(*turns, strict=True)]
    limit = REACH * min(times)
    for contender, time in zip(made, times, strict=True):
        if time > limit:
            contender.library.ask("drop", key=contender.key)
    return [c for c, time in zip(made, times, strict=True) if time <= limit]


def compare(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], where: str) -> None:
    """End everything where results are not equal up to `TOLERANCE`: there is nothing to time."""
    if found.keys() != wanted.keys():
        raise SystemExit(f"bench: {where}: returned {sorted(found)}, not {sorted(wanted)}")
    for name, array in wanted.items():
        if found[name].shape != array.shape:
            shapes = f"{found[name].shape}, not {array.shape}"
            raise SystemExit(f"bench: {where}: {name} has shape {shapes}")
        error = np.abs(found[name] - array).max() / (np.abs(array).max() or 1.0)
        if not error <= TOLERANCE:
            raise SystemExit(f"bench: {where}: {name} differs by {error:.1e}")


class Measured(NamedTuple):
    """A library's median time in every round, in seconds, and the form that had them."""

    times: list[float]
    form: str


def turns(contenders: Mapping[str, Sequence[Contender]], plan: Plan) -> dict[str, Measured]:
    """Return what each library reaches, in the form with the lowest median over the rounds.

    Who begins changes from round to round. The jobs are dropped.
    """
    runs: list[tuple[str, Contender, list[float]]] = [
        (name, contender, []) for name, forms in contenders.items() for contender in forms
    ]
    for number in range(plan.rounds):
        first = number % len(runs)
        for _, contender, times in runs[first:] + runs[:first]:
            times.append(contender.library.block(contender.key, plan.seconds))
    found: dict[str, Measured] = {}
    for name, contender, times in runs:
        contender.library.ask("drop", key=contender.key)
        if name not in found or statistics.median(times) < statistics.median(found[name].times):
            found[name] = Measured(times, contender.form)
    return found
