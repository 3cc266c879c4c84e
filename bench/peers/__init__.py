"""The libraries measured, a module each, each in a process of its own (see `bench.worker`).

A module has `forms(spec)`: the ways this library offers to do the work `spec`, by name; the fastest
is found by trying. Each is a function that gets ready and returns a `Job`. `spec` are the fields of
`bench.work.Work`, in the modules of `PEERS`. Importing a module imports its library.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from bench.work import Numbers

#: In the order of the tables.
PEERS = ("recurra", "torch", "jax", "tensorflow", "onnxruntime")


class Job(NamedTuple):
    """Work that is ready to be done over and over.

    Attributes:
        run: do it once, to the end.
        result: do it once, from the start; what came out, named and laid out as in torch.
    """

    run: Callable[[], object]
    result: Callable[[], Numbers]


Forms = dict[str, Callable[[], Job]]


def threads() -> int:
    """How many threads this process may use."""
    return int(os.environ["OMP_NUM_THREADS"])
