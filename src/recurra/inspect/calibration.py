"""Calibration: whether a model of text is as sure as it is right."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.inspect.language import language, log_softmax
from recurra.inspect.results import Result, axes

BINS = 15


@dataclass(frozen=True, eq=False)
class Calibration(Result):
    """Whether what is said with probability p comes with frequency p.

    confidence, accuracy, count: of the most probable token, by bin of its probability, (15,); NaN
        in empty bins. error: Σ count |accuracy - confidence| / Σ count (Guo et al. 2017).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    error: float

    def figure(self) -> Any:
        """Accuracy by confidence, beside the diagonal."""
        figure, area = axes("Reliability", "confidence", "accuracy", wide=4.4, high=4.2)
        area.plot([0, 1], [0, 1], color="0.6", lw=0.8)
        area.plot(self.confidence, self.accuracy, marker="o")
        return figure


def calibration(model: Any, data: Any, *, double: bool = False) -> Calibration:
    """How well a model of text knows how sure to be. Needs no torch.

    Args:
        model: any model of text. data: a text or tokens (N,). double: as of `gates`.

    Raises:
        InputError: no model of text, or a text of fewer than 2 tokens.
    """
    own = language(model, double=double)
    sure, right = [], []
    for ids in own.sequences(data):
        state = own.steps.start(1)
        for place in range(len(ids) - 1):
            logits, state = own.steps.step(ids[place : place + 1], state)
            z = log_softmax(logits)[0]
            sure.append(np.exp(z.max()))
            right.append(z.argmax() == ids[place + 1])
    return reliability(np.array(sure), np.array(right, np.float64))


def reliability(sure: np.ndarray, right: np.ndarray) -> Calibration:
    """`Calibration` of confidences (N,), and whether each was right (N,)."""
    if not len(sure):
        raise InputError("calibration: expected at least 2 tokens, received 1")
    at = np.minimum((sure * BINS).astype(int), BINS - 1)
    count = np.bincount(at, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(at, sure, BINS) / count
        accuracy = np.bincount(at, right, BINS) / count
    gaps = np.where(count > 0, np.abs(np.nan_to_num(accuracy) - np.nan_to_num(confidence)), 0)
    return Calibration(confidence, accuracy, count, float((gaps * count).sum() / count.sum()))
