"""CTC by its definition: every path of classes is walked, and what it says is looked up."""

import functools
import itertools

import numpy as np


def labelling(path):
    """What a path says: repetitions once, then blanks out."""
    merged = [c for c, _ in itertools.groupby(path)]
    return tuple(c - 1 for c in merged if c != 0)


@functools.cache
def paths(steps, classes):
    """All paths (N, steps), and what each says."""
    walked = np.array(list(itertools.product(range(classes), repeat=steps)), int)
    walked = walked.reshape(classes**steps, steps)
    return walked, [labelling(path) for path in walked.tolist()]


def labellings(log_probabilities):
    """The probability of every labelling of frames (T, C)."""
    T, C = log_probabilities.shape
    found = {}
    walked, said = paths(T, C)
    weights = np.exp(log_probabilities[np.arange(T), walked].sum(1))
    for key, p in zip(said, weights.tolist(), strict=True):
        found[key] = found.get(key, 0.0) + p
    return found


def loss_and_gradient(logits, target):
    """-ln P(target) of frames (T, C) and its gradient by logits; inf and None if impossible."""
    T, C = logits.shape
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    walked, said = paths(T, C)
    chosen = walked[[ids == tuple(target) for ids in said]]
    if len(chosen) == 0:
        return np.inf, None
    weights = np.exp(log_p[np.arange(T), chosen].sum(1))
    occupied = np.einsum("n,ntc->tc", weights, np.eye(C)[chosen]) / weights.sum()
    return -np.log(weights.sum()), np.exp(log_p) - occupied
