"""The generators a training step may draw from: Python's, numpy's, torch's, and the GPU's."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.errors import FormatError

_WORDS = 624  # of a Mersenne twister

Snapshot = tuple[dict[str, Tensor], dict[str, Any]]


def seed(number: int, rank: int) -> None:
    """Seed every generator, differently on each rank."""
    mixed = np.random.SeedSequence([number, rank]).generate_state(4, np.uint64)
    random.seed(int(mixed[0]))
    np.random.seed(mixed[1:2].view(np.uint32))
    torch.manual_seed(int(mixed[2] >> np.uint64(1)))


def snapshot() -> Snapshot:
    """The state of all generators as tensors and JSON."""
    version, words, python_normal = random.getstate()
    name, keys, position, has_normal, normal = np.random.get_state(legacy=True)
    tensors = {
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.from_numpy(np.asarray(keys, np.int64)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():
        tensors["cuda"] = torch.cuda.get_rng_state()
    values = {
        "python": [version, python_normal],
        "numpy": [str(name), int(position), int(has_normal), float(normal)],
    }
    return tensors, values


def restore(
    tensors: Mapping[str, Tensor], values: Mapping[str, Any], where: str = "generators"
) -> None:
    """Set all generators to what `snapshot` returned.

    Raises:
        FormatError: it did not return that. `where` says what was read.
    """
    try:
        version, python_normal = values["python"]
        name, position, has_normal, normal = values["numpy"]
        keys = tensors["numpy"].numpy()
        # numpy believes the position, and would read beyond its words.
        if keys.shape != (_WORDS,) or not 0 <= position <= _WORDS or has_normal not in (0, 1):
            raise ValueError
        random.setstate((version, tuple(tensors["python"].tolist()), python_normal))
        np.random.set_state((name, keys.astype(np.uint32), position, has_normal, normal))
        torch.set_rng_state(tensors["torch"].cpu())
        if "cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["cuda"].cpu())
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise FormatError(
            f"{where}: the states of its random generators are none: start over with --fresh"
        ) from error


@contextmanager
def preserved() -> Iterator[None]:
    """Leave all generators at the end as they were at the start."""
    before = snapshot()
    try:
        yield
    finally:
        restore(*before)
