"""From a sequence of outputs to one vector, over numpy: the twin of `recurra.nn.Pooling`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from recurra import native, rowwise
from recurra.errors import FormatError
from recurra.runtime.history import History
from recurra.runtime.stream_state import Saved

Pool = Callable[[np.ndarray, np.ndarray], np.ndarray]


def last(directions: int) -> Pool:
    """What each direction has at its end."""
    return partial(_last, directions)


def mean(outputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The mean over steps."""
    total = rowwise.total(np.where(_valid(outputs, lengths), outputs, 0), axis=0)[0]
    return total / np.maximum(lengths, 1).astype(outputs.dtype)[:, None]


def largest(outputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The largest over steps, feature by feature."""
    found = np.where(_valid(outputs, lengths), outputs, -np.inf).max(0)
    found[lengths == 0] = 0
    return found


class Attention:
    """Σ a_t y_t with a = softmax(v · tanh(W y_t + b)); inner W (F, F), context v (1, F)."""

    def __init__(self, inner: np.ndarray, bias: np.ndarray, context: np.ndarray) -> None:
        self._mixed, self._context = native.Product(inner, bias), context

    def __call__(self, outputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The sums (B, F) of outputs (T, B, F)."""
        found = np.zeros(outputs.shape[1:], outputs.dtype)
        for row, length in enumerate(lengths):
            if length:
                y = outputs[:length, row]
                found[row] = self.weighed(self.scores(y), y)
        return found

    def scores(self, y: np.ndarray) -> np.ndarray:
        """The scores (T,) of outputs (T, F)."""
        return native.matmul(np.tanh(self._mixed(y)), self._context[0])

    def weighed(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The sum (F,) of outputs (T, F) of such scores."""
        a = np.exp(scores - scores.max())
        found: np.ndarray = native.matmul((a / a.sum())[None], y)[0]
        return found


def _last(directions: int, outputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    found = outputs[np.maximum(lengths - 1, 0), np.arange(outputs.shape[1])]
    if directions == 2:
        half = outputs.shape[2] // 2
        found[:, half:] = outputs[0, :, half:]
    found[lengths == 0] = 0
    return found


def _valid(outputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return (np.arange(len(outputs))[:, None] < lengths[None, :])[..., None]


@dataclass(frozen=True, eq=False)
class Pooled:
    """What a pool has of the outputs so far.

    count: T. vector: (F,), the last, the sum, or the largest. outputs, scores: all of them,
    (T, F) and (T,), for attention.
    """

    count: int = 0
    vector: np.ndarray | None = None
    outputs: History | None = None
    scores: History | None = None


class RunningPool:
    """A pool of outputs in one direction, as they come: the same bits as of all at once.

    Args:
        pool: `mean`, `largest`, an `Attention`, or what `last` returns.
        size: F.
    """

    def __init__(self, pool: Pool, size: int) -> None:
        self._pool, self._size = pool, size

    def extended(self, held: Pooled, outputs: np.ndarray) -> Pooled:
        """With further outputs (T, F), T from 1 on."""
        count = held.count + len(outputs)
        if isinstance(self._pool, Attention):
            scores = self._pool.scores(outputs)
            if held.outputs is None or held.scores is None:
                return Pooled(count, None, History(outputs), History(scores))
            return Pooled(count, None, held.outputs.extended(outputs), held.scores.extended(scores))
        if self._pool is mean or self._pool is largest:
            rows = outputs if held.vector is None else np.concatenate([held.vector[None], outputs])
            found = rows.max(0) if self._pool is largest else rowwise.total(rows, axis=0)[0]
            return Pooled(count, found)
        return Pooled(count, outputs[-1].copy())

    def value(self, held: Pooled) -> np.ndarray:
        """The pooled vector (F,); zeros of nothing."""
        if held.count == 0:
            return np.zeros(self._size, np.float32)
        if isinstance(self._pool, Attention):
            assert held.outputs is not None
            assert held.scores is not None
            return self._pool.weighed(held.scores.rows, held.outputs.rows)
        assert held.vector is not None
        if self._pool is mean:
            return held.vector / np.array(held.count).astype(held.vector.dtype)
        return held.vector

    def pack(self, held: Pooled, prefix: str) -> dict[str, np.ndarray]:
        """As arrays by name."""
        found: dict[str, Any] = {f"{prefix}.count": np.array([held.count], np.int64)}
        if held.vector is not None:
            found[f"{prefix}.vector"] = held.vector
        if held.outputs is not None and held.scores is not None:
            found[f"{prefix}.outputs"] = held.outputs.rows
            found[f"{prefix}.scores"] = held.scores.rows
        return found

    def unpack(self, saved: Saved, prefix: str) -> Pooled:
        """What `pack` wrote; FormatError for anything else."""
        (count,) = saved.array(f"{prefix}.count", (1,), np.int64).tolist()
        if count < 0:
            raise FormatError(f"state: {prefix}.count: expected one from 0 on: take it anew")
        made = Pooled(count)
        if not count:
            return made
        if isinstance(self._pool, Attention):
            outputs = saved.array(f"{prefix}.outputs", (count, self._size), float)
            scores = saved.array(f"{prefix}.scores", (count,), float)
            return replace(made, outputs=History(outputs), scores=History(scores))
        return replace(made, vector=saved.array(f"{prefix}.vector", (self._size,), float))
