"""What resets within a sequence cost: `python -m bench reset`.

Forward and backward of a layer, on one thread, without resets and with them before a twentieth of
all steps, in turns, in the processor's time of this process, which other processes have no part in.
`ratio` is to the time without.
"""

import time
from functools import partial
from typing import Any

import torch

from bench.kernels import medians
from bench.own_cell import minimal_gated
from recurra.nn import Recurrent
from recurra.ops import fixed_order

SIZES = ((8, 64, 128), (32, 64, 128), (64, 128, 256))
SHARE = 0.05


def train(module: Recurrent, x: torch.Tensor, reset: torch.Tensor | None) -> None:
    """Forward and backward of a module, with the input's gradient."""
    module.zero_grad()
    x.grad = None
    module(x, reset=reset)[0].sum().backward()


def measure(*, seconds: float = 2.0) -> list[dict[str, Any]]:
    """Return a row for each cell and size."""
    rows = []
    for cell in ("rnn", "gru", "lstm", minimal_gated.name):
        for batch, steps, hidden in SIZES:
            module = Recurrent(cell, hidden, hidden)
            x = torch.randn(steps, batch, hidden, requires_grad=True)
            reset = torch.rand(steps, batch) < SHARE
            calls = [partial(train, module, x, None), partial(train, module, x, reset)]
            with fixed_order(1):
                plain, given = medians(calls, seconds=seconds, clock=time.process_time)
            what = f"{cell}, {batch}×{steps}×{hidden}"
            times = {"plain": round(plain * 1e6, 1), "resets": round(given * 1e6, 1)}
            rows.append({"what": what, "unit": "us", **times, "ratio": round(given / plain, 3)})
    return rows
