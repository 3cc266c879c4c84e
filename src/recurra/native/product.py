"""Products in which each row stands for itself, on the kernels or over numpy.

A row's result has the same bits alone and among others, in any order, with any number of threads,
and whichever BLAS numpy was built with. `recurra.rowwise` is the slow twin.
"""

import math

import numpy as np

from recurra import rowwise
from recurra.native import library

_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Product:
    """Multiplication with weights that stay: x W^T + b. Threads may share it.

    Args:
        weight: W (N, K).
        bias: b (N,); None: zeros.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None = None) -> None:
        self._weight, self._bias = weight, bias
        self.shape = weight.shape
        #: What the compiled library made of the weights; None where numpy computes.
        self.handle = None
        if library.available() and weight.dtype == np.float32 and weight.size:
            start = np.zeros(len(weight), np.float32) if bias is None else bias
            self.handle = library.compiled().Matrix(
                np.ascontiguousarray(weight),
                np.ascontiguousarray(start, np.float32),
                library.at_most(library.threads()),
            )

    @property
    def weight(self) -> np.ndarray:
        """W (N, K)."""
        return self._weight

    @property
    def bias(self) -> np.ndarray | None:
        """b (N,), or None."""
        return self._bias

    def __reduce__(self) -> tuple[type, tuple[np.ndarray, np.ndarray | None]]:
        return Product, (self._weight, self._bias)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the products (..., N) of x (..., K)."""
        if self.handle is None or x.dtype != np.float32:
            product = matmul(x, self._weight.T)
            return product if self._bias is None else product + self._bias
        flat = np.ascontiguousarray(x).reshape(-1, self.shape[1])
        found: np.ndarray = self.handle.apply(flat)
        return found.reshape(*x.shape[:-1], self.shape[0])


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return what `numpy.matmul` does: (..., M, K) times (..., K, N), or of vectors.

    Terms of zero at the end of K, as padding has them, change nothing.
    """
    if a.dtype != b.dtype or a.dtype not in _TYPES or not library.available() or a.ndim < 2:
        return rowwise.matmul(a, b)
    if b.ndim < 3:  # the rows of all matrices are those of one
        rows = np.ascontiguousarray(a).reshape(1, math.prod(a.shape[:-1]), a.shape[-1])
        found = _products(rows, b[None, :, None] if b.ndim == 1 else b[None])
        return found.reshape(*a.shape[:-1], *b.shape[1:])
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = math.prod(stack)
    a = np.broadcast_to(a, (*stack, *a.shape[-2:])).reshape(count, *a.shape[-2:])
    b = np.broadcast_to(b, (*stack, *b.shape[-2:])).reshape(count, *b.shape[-2:])
    return _products(np.ascontiguousarray(a), b).reshape(*stack, a.shape[-2], b.shape[-1])


def row_sums(x: np.ndarray) -> np.ndarray:
    """Return the sums of x (..., K) over the last axis, which stays, (..., 1).

    Zeros at the end of a row change nothing.
    """
    if x.dtype not in _TYPES or not library.available() or x.ndim < 2:
        return rowwise.total(x)
    return matmul(x, np.ones(x.shape[-1], x.dtype))[..., None]


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of a (C, M, K), contiguous, and b (C, K, N): (C, M, N)."""
    (count, rows, depth), columns = a.shape, b.shape[2]
    if b.shape[1] != depth:
        raise ValueError(f"matmul: expected {depth} rows of the second matrix, got {b.shape[1]}")
    found = np.zeros((count, rows, columns), a.dtype)
    if not found.size or not depth:
        return found
    step, row, column = (stride // b.itemsize for stride in b.strides)
    if columns == 1 and row == 1:  # a vector: its stride to a next column says nothing
        column = depth
    if (column != 1 and row != 1) or any(stride % b.itemsize for stride in b.strides):
        b = np.ascontiguousarray(b)
        step, row, column = depth * columns, columns, 1
    call = library.compiled().products32 if a.itemsize == 4 else library.compiled().products64
    sizes = [count, rows, depth, columns, rows * depth, depth, step, row, column]
    places = (array.__array_interface__["data"][0] for array in (a, b, found))
    call(*places, sizes, library.at_most(library.threads()))
    return found
