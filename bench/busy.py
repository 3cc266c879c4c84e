"""Two threads where others use the processors: on one of them, and beside neighbours.

Rows are pairs: the time with two threads over that with one, of the same library, in the same
situation and in turns. Neighbours are processes that compute without end, as many as there are
processors; this part starts and ends them.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.generation import model
from bench.turns import Library, MissingError, cores
from bench.work import GRID, Text, Work

#: Who is measured; others of `bench.peers` compile for a machine that they have for themselves.
NAMES = ("recurra", "torch", "onnxruntime")
RUNS = 5
#: Seconds of a turn: long enough that each has met its neighbours, who run for some 4 ms at a time.
SECONDS = 0.4
SITUATIONS = ("one processor", "beside busy neighbours")
SMALL = (1, 100, 64)
CHARACTERS = 2000
Row = dict[str, Any]


def measure(*, seconds: float = SECONDS) -> list[Row]:
    """Return a row for each situation, work and library."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        text = Text(model(Path(folder), 256), CHARACTERS, prompt="THE ")._asdict()
        for situation in SITUATIONS:
            for size in (SMALL, *(s for s in GRID if s != SMALL)):
                work = Work("inference", "lstm", *size)._asdict()
                what = f"LSTM {'×'.join(map(str, size))}, inference, {situation}"
                names = NAMES if size == SMALL else NAMES[:1]
                rows += _rows(what, names, "", work, situation, seconds)
            what = f"text, 256 units, {situation}"
            rows += _rows(what, NAMES[:2], "_text", text, situation, seconds)
    return rows


def _rows(
    what: str,
    names: tuple[str, ...],
    suffix: str,
    spec: Mapping[str, Any],
    situation: str,
    seconds: float,
) -> list[Row]:
    found = []
    processors = cores(1 if situation == SITUATIONS[0] else None)
    with neighbours(0 if situation == SITUATIONS[0] else len(processors), processors):
        for name in names:
            try:
                pair = _pair(name, suffix, spec, processors, seconds)
            except MissingError as error:
                print(f"bench: {name} is left out: {error}", flush=True)
                continue
            found.append({"what": what, "unit": "ms", "library": name, **pair})
    return found


def _pair(
    name: str, suffix: str, spec: Mapping[str, Any], processors: list[int], seconds: float
) -> Row:
    """One thread and two of a library in turns: medians of runs, their ratios, rare long calls."""
    module = f"bench.peers.{name}{suffix}"
    one, two = (Library(name, module, threads, processors) for threads in (1, 2))
    try:
        with tempfile.TemporaryDirectory() as folder:
            for library in (one, two):  # the last form is the leanest
                form = library.ask("forms", spec=dict(spec))[-1]
                library.make(form, spec, Path(folder) / "result.npz")
        alone, shared = [], []
        for _ in range(RUNS):
            alone.append(sorted(one.times("1", seconds)))
            shared.append(sorted(two.times("1", seconds)))
    finally:
        one.close()
        two.close()
    middle = [statistics.median(times) for times in (*alone, *shared)]
    ratios = [b / a for a, b in zip(middle[:RUNS], middle[RUNS:], strict=True)]
    rare = [times[int(0.99 * len(times))] for times in shared]
    return {
        "1 thread": _ms(statistics.median(middle[:RUNS])),
        "2 threads": _ms(statistics.median(middle[RUNS:])),
        "99th percentile": _ms(statistics.median(rare)),
        "ratio": round(statistics.median(ratios), 2),
        "worst of five": round(max(ratios), 2),
    }


@contextmanager
def neighbours(count: int, processors: list[int]) -> Iterator[None]:
    """Keep so many processes computing on these processors."""
    code = (
        f"import os\nparent, _ = os.getppid(), os.sched_setaffinity(0, {processors})\n"
        "while os.getppid() == parent:\n    for _ in range(10**6): pass"
    )
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def _ms(seconds: float) -> float:
    return float(f"{1e3 * seconds:.3g}")
