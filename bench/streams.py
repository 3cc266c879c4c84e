"""Many streams of one language model: tokens a second by their number, and the price of a prompt.

Layers of random weights, since they do not matter. Streams of each number take turns, a few steps
each; a figure is the median. Prompts are read as they are beside other streams, 32 tokens at a
time, and beside that in one call, with the same logits to the bit.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import peak
from bench.figures import rounded
from recurra.runtime.architecture import Architecture
from recurra.tasks.language_model.runtime import RuntimeLM

STREAMS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
HIDDEN = {256: 24, 512: 12, 1024: 4}  # units, and turns
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
LAYERS, SYMBOLS = 2, 96
PROMPT, SLICE = 512, 32


def measure() -> list[dict[str, Any]]:
    """Return rows of tokens a second by streams, and of microseconds a token of a prompt."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        probes = peak.compiled(Path(folder))
        fastest = max(probes, key=lambda probe: peak.rates(probe, 1)[0]) if probes else None
        for cell in ("lstm", "gru", "rnn"):
            for hidden in HIDDEN if cell == "lstm" else (512,):
                for threads in (1, 2):
                    rows += _of(cell, hidden, threads, fastest)
    return rows


def _of(cell: str, hidden: int, threads: int, probe: Path | None) -> list[dict[str, Any]]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "bench.streams", cell, str(hidden)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    rates = {int(n): rate for n, rate in found["rates"].items()}
    name = f"{cell} {LAYERS}×{hidden}, {threads} thread{'s' if threads > 1 else ''}"
    most = {} if probe is None else {"of the peak": _share(cell, hidden, rates, probe, threads)}
    by_streams = {str(n): round(rate) for n, rate in rates.items()}
    ratio = {"64 to 1": rounded(rates[64] / rates[1])}
    prompt = {key: rounded(value) for key, value in found["prompt"].items()}
    if hidden == 512:
        prompt["of 100 us"] = rounded(found["prompt"][f"slices of {SLICE}"] / 100)
    return [
        {"what": f"streams, {name}", "unit": "tokens/s", **by_streams, **ratio, **most},
        {"what": f"prompt, {name}", "unit": "us a token", **prompt},
    ]


def _share(cell: str, hidden: int, rates: dict[int, float], probe: Path, threads: int) -> float:
    """Multiply-adds of the most streams, as a share of those that the processors can do."""
    weights = (2 * LAYERS - 1) * GATES[cell] * hidden**2 + SYMBOLS * hidden
    return rounded(2e-9 * weights * rates[max(rates)] / peak.rates(probe, threads)[1])


def model(cell: str, hidden: int) -> RuntimeLM:
    """A model of random weights, whose tokens are read one-hot."""
    draw, bound = np.random.default_rng(0), hidden**-0.5
    shapes = {"head.weight": (SYMBOLS, hidden), "head.bias": (SYMBOLS,)}
    for layer in range(LAYERS):
        gates = GATES[cell] * hidden
        shapes |= {
            f"rnn.weight_ih_l{layer}": (gates, hidden if layer else SYMBOLS),
            f"rnn.weight_hh_l{layer}": (gates, hidden),
            f"rnn.bias_ih_l{layer}": (gates,),
            f"rnn.bias_hh_l{layer}": (gates,),
        }
    tensors = {
        name: draw.uniform(-bound, bound, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    return RuntimeLM(Architecture(cell, LAYERS, False, (), {}), tensors)


def by_streams(model: RuntimeLM, turns: int) -> dict[int, float]:
    """Tokens a second of so many streams."""
    draw = np.random.default_rng(1)
    states = {n: model.start(n) for n in STREAMS}
    times: dict[int, list[float]] = {n: [] for n in STREAMS}
    for _ in range(turns):
        for n in STREAMS:
            for step in range(4):
                ids = draw.integers(0, SYMBOLS, n)
                begin = time.perf_counter()
                _, states[n] = model.step(ids, states[n])
                if step:  # the first finds the weights of others in the caches
                    times[n].append(time.perf_counter() - begin)
    return {n: n / statistics.median(found) for n, found in times.items()}


def prompts(model: RuntimeLM, turns: int) -> dict[str, float]:
    """Microseconds a token of a prompt, read in slices, whole, and step by step."""
    ids = np.random.default_rng(2).integers(0, SYMBOLS, (1, PROMPT))
    ways = {f"slices of {SLICE}": SLICE, "whole": PROMPT, "steps": 0}
    times: dict[str, list[float]] = {way: [] for way in ways}
    said: list[np.ndarray] = []
    for _ in range(turns):
        for way, size in ways.items():
            state, begin = model.start(1), time.perf_counter()
            for first in range(0, PROMPT, size or 1):
                if size:
                    logits, state = model.read(ids[:, first : first + size], None, state)
                else:
                    logits, state = model.step(ids[:, first], state)
            times[way].append((time.perf_counter() - begin) / PROMPT * 1e6)
            said.append(logits)
    assert all((logits == said[0]).all() for logits in said), "logits hang on how a prompt is read"
    return {way: statistics.median(found) for way, found in times.items()}


if __name__ == "__main__":
    cell, hidden = sys.argv[1], int(sys.argv[2])
    made = model(cell, hidden)
    found = {"rates": by_streams(made, HIDDEN[hidden]), "prompt": prompts(made, 3)}
    print(json.dumps(found))
