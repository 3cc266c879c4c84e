"""Products of square matrices, by torch and by numpy."""

from collections.abc import Callable

import numpy as np
import torch

from bench.peers import Forms, Job, threads

torch.set_num_threads(threads())


def forms(spec: dict) -> Forms:
    """Return the product of two matrices with `size` rows and columns, by either."""
    a = np.random.default_rng(0).standard_normal((spec["size"],) * 2, np.float32)
    b = torch.from_numpy(a)
    out = np.empty_like(a)
    return {
        "torch": _job(lambda: torch.mm(b, b, out=torch.from_numpy(out)), out),
        "numpy": _job(lambda: np.matmul(a, a, out=out), out),
    }


def _job(run: Callable[[], object], out: np.ndarray) -> Callable[[], Job]:
    def result() -> dict[str, np.ndarray]:
        run()
        return {"y": out}

    return lambda: Job(run, result)
