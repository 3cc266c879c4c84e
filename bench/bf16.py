"""Training a layer in bfloat16 beside float32, interleaved in one process.

Forward and backward at the sizes where products take most of the time: every row's `ratio` is the
median time in float32 over the median time in bfloat16.
"""

from typing import Any

import torch

from bench.kernels import Layer, medians
from recurra import native

SIZES = ((20, 35, 650), (64, 128, 256), (64, 128, 512))
CELLS = ("rnn", "gru", "lstm")


def measure(*, threads: int | None = None, seconds: float = 3.0) -> list[dict[str, Any]]:
    """Return a row for each cell and size (B, T, H); none where there are no such products."""
    if not native.half_products():
        return []
    threads = threads or torch.get_num_threads()
    rows = []
    for cell in CELLS:
        for batch, steps, hidden in SIZES:
            layer = Layer(cell, batch, steps, hidden, threads=threads)
            half = Layer(cell, batch, steps, hidden, threads=threads)
            half.inputs = half.inputs._replace(half=True)
            full, fast = medians([layer.train, half.train], seconds=seconds)
            rows.append(
                {
                    "what": f"{cell} {batch}×{steps}×{hidden}, {native.half_products()}",
                    "unit": "ms",
                    "float32": round(1e3 * full, 3),
                    "bf16": round(1e3 * fast, 3),
                    "ratio": round(full / fast, 3),
                }
            )
    return rows
