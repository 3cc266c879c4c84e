"""A cell of a user's own as an ONNX file, a Scan, run by four: `python -m bench scan`.

The whole file by `OnnxModel` on the kernels and, as files of anything else run, node by node; the
layer that it was written from, in inference; ONNX Runtime. In turns, on one thread where
OMP_NUM_THREADS is 1.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.kernels import medians
from bench.own_cell import coupled, minimal_gated
from recurra.export import OnnxModel, onnx
from recurra.nn import Recurrent

SIZES = ((1, 64, 128), (32, 64, 128))


def measure(*, seconds: float = 4.0) -> list[dict[str, Any]]:
    """Return a row for each cell and size; `ratio` is of the kernels' time to ONNX Runtime's."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    threads, rows = torch.get_num_threads(), []
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for cell in (minimal_gated, coupled):
            for batch, steps, hidden in SIZES:
                layer, path = Recurrent(cell, hidden, hidden), Path(folder) / "cell.onnx"
                onnx(layer, path)
                x = torch.randn(steps, batch, hidden)
                given = {"input": x.numpy()}
                ours, slow = OnnxModel.load(path), OnnxModel.load(path)
                slow._scanned, slow._replaced = {}, set()
                theirs = onnxruntime.InferenceSession(str(path), options)
                calls: list[Callable[[], object]] = [
                    partial(ours.run, given),
                    partial(slow.run, given),
                    torch.inference_mode()(partial(layer, x)),
                    partial(theirs.run, None, given),
                ]
                kernels, nodes, module, runtime = medians(calls, seconds=seconds)
                rows.append({
                    "what": f"{cell.name}, {batch}×{steps}×{hidden}",
                    "unit": "ms",
                    "kernels": round(kernels * 1e3, 2),
                    "node by node": round(nodes * 1e3, 2),
                    "layer": round(module * 1e3, 2),
                    "ONNX Runtime": round(runtime * 1e3, 2),
                    "ratio": round(kernels / runtime, 3),
                })  # fmt: skip
    torch.set_num_threads(threads)
    return rows
