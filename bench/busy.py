"""Two threads where others use the processors: on one of them, and beside neighbours.

Rows are pairs: the time with two threads over that with one, of the same library, in the same
situation and in turns. Neighbours are processes that compute without end, as many as there are
processors; this part starts and ends them.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.generation import model
from bench.turns import Library, MissingError, cores
from bench.work import GRID, Text, Work

#: Who is measured; others of `bench.peers` compile for a machine that they have for themselves.
NAMES = ("recurra", "torch", "onnxruntime")
RUNS = 5
#: Seconds of a turn: each meets its neighbours many times, who run for some 4 ms at a time.
SECONDS = 0.1
SITUATIONS = ("one processor", "beside busy neighbours")
SMALL = (1, 100, 64)
CHARACTERS = 2000
Row = dict[str, Any]


def measure(*, seconds: float = SECONDS) -> list[Row]:
    """Return a row for each situation, library and work."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        text = Text(model(Path(folder), 256), CHARACTERS, prompt="THE ")._asdict()
        for situation in SITUATIONS:
            alone = situation == SITUATIONS[0]
            processors = cores(1 if alone else None)
            with neighbours(0 if alone else len(processors), processors):
                for name in NAMES:
                    layers = [SMALL] if name != "recurra" else [SMALL, *GRID[1:]]
                    works = {
                        f"LSTM {'×'.join(map(str, size))}, inference": Work(
                            "inference", "lstm", *size
                        )._asdict()
                        for size in layers
                    }
                    rows += _rows(situation, name, "", works, processors, seconds)
                    if name != "onnxruntime":
                        works = {"text, 256 units": text}
                        rows += _rows(situation, name, "_text", works, processors, seconds)
    return rows


def _rows(
    situation: str,
    name: str,
    suffix: str,
    works: Mapping[str, Mapping[str, Any]],
    processors: list[int],
    seconds: float,
) -> list[Row]:
    """One thread and two of a library in turns, work by work."""
    found: list[Row] = []
    module = f"bench.peers.{name}{suffix}"
    with ExitStack() as stack:
        try:
            pair = []
            for threads in (1, 2):
                pair.append(Library(name, module, threads, processors))
                stack.callback(pair[-1].close)
        except MissingError as error:
            print(f"bench: {name} is left out: {error}", flush=True)
            return found
        for what, spec in works.items():
            row = {"what": f"{what}, {situation}", "unit": "ms", "library": name}
            found.append(row | _compared(pair, spec, seconds))
            print(f"bench: {found[-1]}", flush=True)
    return found


def _compared(pair: Sequence[Library], spec: Mapping[str, Any], seconds: float) -> Row:
    """Medians of runs, their ratios, and rare long calls."""
    keys = []
    with tempfile.TemporaryDirectory() as folder:
        for library in pair:
            form = library.ask("forms", spec=dict(spec))[-1]  # the leanest
            keys.append(library.make(form, spec, Path(folder) / "result.npz"))
    times: tuple[list[list[float]], ...] = ([], [])
    for _ in range(RUNS):
        for library, key, found in zip(pair, keys, times, strict=True):
            found.append(sorted(library.times(key, seconds)))
    alone, shared = ([statistics.median(run) for run in found] for found in times)
    ratios = [b / a for a, b in zip(alone, shared, strict=True)]
    rare = [run[int(0.99 * len(run))] for run in times[1]]
    return {
        "1 thread": _ms(statistics.median(alone)),
        "2 threads": _ms(statistics.median(shared)),
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
