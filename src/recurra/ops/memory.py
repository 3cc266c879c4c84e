"""Memory for what operators write."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from recurra import native

#: Elements from which on fresh memory from the system costs more than asking for it elsewhere.
LARGE = 1 << 16


def empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """Memory to write to; where it is large, from what the kernels keep between calls."""
    if math.prod(shape) < LARGE or not native.available():
        return like.new_empty(*shape)
    return torch.from_numpy(native.empty(*shape, double=like.dtype == torch.float64))
