"""Every published cell of the tests against a plain loop in torch: `python -m bench published`.

Forward and backward in float32, B = 32, T = 64, H = I = 128, on one thread, in turns, in the
processor's time of this process; the loop is the paper's equations, a step at a time. The first row
is the median of all cells; the others follow, the least favourable first.
"""

import statistics
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from bench.kernels import medians
from recurra.nn import Recurrent
from recurra.ops import fixed_order

TESTS = Path(__file__).resolve().parent.parent / "tests"
T, B, H = 64, 32, 128


def by_loop(paper: Any, cell: Any, layer: Recurrent, x: torch.Tensor) -> None:
    """Forward and backward of the plain loop."""
    weights = import_module("cells.papers").weights_of(paper, cell, layer)
    states = [x.new_full((B, H), start) for start in layer.program.first]
    outputs = []
    for step in x:
        states = list(paper.step(weights, step, *states))
        outputs.append(states[0])
    torch.stack(outputs).sum().backward()


def by_layer(layer: Recurrent, x: torch.Tensor) -> None:
    """Forward and backward of our layer."""
    layer(x)[0].sum().backward()


def measure(*, seconds: float = 0.2) -> list[dict[str, Any]]:
    """Return the rows; `ratio` is how many times as long the loop takes."""
    sys.path.insert(0, str(TESTS))
    rows = []
    for path in sorted((TESTS / "cells" / "published").glob("*.py")):
        paper = import_module(f"cells.published.{path.stem}")
        cell = getattr(paper, f"{path.stem}_of_paper")
        features = H + cell.program().further
        layer = Recurrent(cell, features, H, **getattr(paper, "OPTIONS", {}))
        x = torch.randn(T, B, features)
        getattr(paper, "prepare", lambda x: None)(x)
        x.requires_grad_()
        calls = [partial(by_layer, layer, x), partial(by_loop, paper, cell, layer, x)]
        with fixed_order(1):
            ours, loop = medians(calls, seconds=seconds, clock=time.process_time)
        times = {"recurra": round(ours * 1e3, 2), "loop": round(loop * 1e3, 2)}
        rows.append({"what": path.stem, "unit": "ms", **times, "ratio": round(loop / ours, 2)})
    ratios = [row["ratio"] for row in rows]
    middle = {"what": "median of all", "unit": "", "ratio": round(statistics.median(ratios), 2)}
    return [middle, *sorted(rows, key=lambda row: row["ratio"])]
