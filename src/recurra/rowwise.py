"""Products and sums over numpy in which each row stands for itself.

numpy hands `@` to a BLAS, whose sums depend on how many rows there are, on its threads and on the
processor; and `sum` adds in an order that depends on the length. Here the same numbers give the
same bits in any company: a term belongs to its row, and terms of zero at its end change nothing.
These are the slow twins of `recurra.native.product`.
"""

from collections.abc import Sequence

import numpy as np


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Return x (..., K) times the rows of weight (N, K), plus bias (N,): (..., N)."""
    # einsum has loops of its own, and goes through k in one order for every row.
    product: np.ndarray = np.einsum("...k,nk->...n", np.ascontiguousarray(x), weight)
    return product if bias is None else product + bias


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return what `numpy.matmul` does, (..., M, K) times (..., K, N) or of vectors."""
    if a.ndim == 1:
        product: np.ndarray = matmul(a[None], b)
        return product[0] if b.ndim == 1 else product[..., 0, :]
    a = np.ascontiguousarray(a)
    if b.ndim == 1:
        found: np.ndarray = np.einsum("...mk,k->...m", a, b)
        return found
    found = np.einsum("...mk,...kn->...mn", a, b)
    return found


def total(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the sum over an axis, one term after the other, with the axis kept."""
    if not x.shape[axis]:
        return x.sum(axis, keepdims=True)
    if axis == 0 and x.ndim > 1 and x.shape[-1] > 1:  # numpy adds whole rows
        return x.sum(0, keepdims=True)
    running = np.add.accumulate(x, axis=axis)
    last: np.ndarray = np.take(running, [-1], axis=axis)
    return last


def mean(arrays: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the mean of arrays of one shape, added in their order."""
    found = arrays[0].copy()
    for array in arrays[1:]:
        found += array
    found /= len(arrays)
    return found
