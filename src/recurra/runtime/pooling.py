"""From a sequence of outputs to one vector, over numpy: the twin of `recurra.nn.Pooling`."""

from collections.abc import Callable
from functools import partial

import numpy as np

from recurra import native, rowwise

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


def attention(inner: np.ndarray, bias: np.ndarray, context: np.ndarray) -> Pool:
    """Σ a_t y_t with a = softmax(v · tanh(W y_t + b)); inner W (F, F), context v (1, F)."""
    return partial(_attention, native.Product(inner, bias), context)


def _last(directions: int, outputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    found = outputs[np.maximum(lengths - 1, 0), np.arange(outputs.shape[1])]
    if directions == 2:
        half = outputs.shape[2] // 2
        found[:, half:] = outputs[0, :, half:]
    found[lengths == 0] = 0
    return found


def _attention(
    mixed: native.Product,
    context: np.ndarray,
    outputs: np.ndarray,
    lengths: np.ndarray,
) -> np.ndarray:
    found = np.zeros(outputs.shape[1:], outputs.dtype)
    for row, length in enumerate(lengths):
        if length:
            y = outputs[:length, row]
            scores = native.matmul(np.tanh(mixed(y)), context[0])
            a = np.exp(scores - scores.max())
            found[row] = native.matmul((a / a.sum())[None], y)[0]
    return found


def _valid(outputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return (np.arange(len(outputs))[:, None] < lengths[None, :])[..., None]
