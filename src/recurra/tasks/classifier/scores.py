"""How good a classifier is: accuracy, F1, confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recurra.checked import checked
from recurra.errors import InputError
from recurra.given import LeftOut
from recurra.tasks.answers import Figures
from recurra.tasks.drawing import new_figure, write_figure
from recurra.tasks.figures import plain, shown


@checked
def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): row the true class, column the predicted one.

    Args:
        true, predicted: classes from 0 to `classes` - 1, (N,).

    Raises:
        InputError: the two differ in length, or hold other numbers.
    """
    if true.shape != predicted.shape or true.ndim != 1:
        raise InputError(
            f"confusion matrix: expected two rows of classes of one length, "
            f"received shapes {true.shape} and {predicted.shape}"
        )
    both = np.concatenate([true, predicted])
    if both.size and both.dtype.kind == "f":
        raise InputError(
            f"confusion matrix: expected classes as whole numbers, received {both.dtype}"
        )
    if classes < 1:
        raise InputError(f"confusion matrix: expected at least 1 class, received {classes}")
    if both.size and not 0 <= both.min() <= both.max() < classes:
        raise InputError(
            f"confusion matrix: expected classes from 0 to {classes - 1}, "
            f"received {both.min()} to {both.max()}"
        )
    cells = true.astype(np.int64) * classes + predicted.astype(np.int64)
    counts = np.bincount(cells, minlength=classes**2)
    return counts.reshape(classes, classes)


@checked
def accuracy(confusion: np.ndarray) -> float:
    """The share of the diagonal; NaN where nothing was counted."""
    total = int(_square(confusion).sum())
    return int(np.trace(confusion)) / total if total else float("nan")


@checked
def f1_scores(confusion: np.ndarray) -> np.ndarray:
    """F1 of each class, 2 · true positives / (its rows + its columns).

    Zero for a class that was predicted but never true, or true but never predicted; NaN for one
    that was neither.
    """
    hits, there = np.diag(_square(confusion)), confusion.sum(1) + confusion.sum(0)
    with np.errstate(invalid="ignore"):
        return 2 * hits / there


@checked
def macro_f1(confusion: np.ndarray) -> float:
    """The mean F1 of the classes that were true or predicted at least once."""
    scores = f1_scores(confusion)
    scores = scores[~np.isnan(scores)]
    return float(np.mean(scores)) if scores.size else float("nan")


@checked
def precision_recall(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of each class; zero where there is nothing to divide by."""
    hits, columns, rows = np.diag(_square(confusion)), confusion.sum(0), confusion.sum(1)
    precision = np.divide(hits, columns, out=np.zeros(len(hits)), where=columns > 0)
    recall = np.divide(hits, rows, out=np.zeros(len(hits)), where=rows > 0)
    return precision, recall


def _square(confusion: np.ndarray) -> np.ndarray:
    if confusion.ndim != 2 or len(confusion) != confusion.shape[1]:
        raise InputError(
            "confusion: expected counts (classes, classes), as of confusion_matrix, received shape "
            f"{confusion.shape}"
        )
    return confusion


@dataclass(frozen=True, eq=False)
class ClassifierScores(Figures):
    """What a classifier made of examples whose labels are known.

    labels: the classes, as labels were given, in the order of the confusion matrix. confusion:
    counts (C, C), rows true, columns predicted. loss: the mean negative log-likelihood of the true
    labels, nats; NaN of a classifier without probabilities. skipped: a line for each row that could
    not be read.
    """

    labels: tuple[Any, ...]
    confusion: np.ndarray
    loss: float = float("nan")
    skipped: tuple[str, ...] = ()

    @classmethod
    def measure(
        cls,
        true: np.ndarray,
        probabilities: np.ndarray,
        labels: Sequence[Any],
        *,
        skipped: Sequence[str] = (),
    ) -> "ClassifierScores":
        """From the true classes (N,) and the probabilities (N, C) of all."""
        matrix = confusion_matrix(true, probabilities.argmax(1), len(labels))
        chosen = probabilities[np.arange(len(true)), true].astype(np.float64)
        tiny = np.finfo(np.float32).tiny
        loss = float(-np.log(np.maximum(chosen, tiny)).mean()) if len(true) else float("nan")
        return cls(tuple(labels), matrix, loss, tuple(skipped))

    @property
    def left_out(self) -> LeftOut:
        """How many rows could not be read, and the first of them."""
        return LeftOut.of(self.skipped, kept=self.count)

    @property
    def count(self) -> int:
        """How many examples were classified."""
        return int(self.confusion.sum())

    @property
    @checked
    def accuracy(self) -> float:
        """The share that was classified right."""
        return accuracy(self.confusion)

    @property
    @checked
    def macro_f1(self) -> float:
        """The mean F1 over classes."""
        return macro_f1(self.confusion)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        precision, recall = precision_recall(self.confusion)
        scores = f1_scores(self.confusion)
        return {
            "accuracy": plain(self.accuracy),
            "macro_f1": plain(self.macro_f1),
            "loss": plain(self.loss),
            "examples": self.count,
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "classes": {
                str(label): {
                    "precision": float(precision[k]),
                    "recall": float(recall[k]),
                    "f1": None if np.isnan(scores[k]) else float(scores[k]),
                    "examples": int(self.confusion[k].sum()),
                }
                for k, label in enumerate(self.labels)
            },
            "skipped": list(self.skipped),
            "left_out": self.left_out.to_dict(),
        }

    def plot(self, path: str | Path) -> Path:
        """Draw the confusion matrix into a file: of each true label, what it was taken for.

        Raises:
            InputError: matplotlib is not installed, or the file cannot be written.
        """
        names, size = [str(label) for label in self.labels], len(self.labels)
        figure, axes = new_figure(2.5 + 0.4 * size, 2 + 0.4 * size)
        of = np.maximum(self.confusion.sum(1, keepdims=True), 1)
        axes.imshow(self.confusion / of, cmap="Blues", vmin=0, vmax=1)
        axes.set(xticks=range(size), yticks=range(size), xlabel="predicted", ylabel="true")
        axes.set_xticklabels(names, rotation=90)
        axes.set_yticklabels(names)
        for (row, column), count in np.ndenumerate(self.confusion):
            dark = count > of[row, 0] / 2
            colour = "white" if dark else "black"
            axes.text(column, row, int(count), ha="center", va="center", color=colour, size=8)
        axes.set_title(f"accuracy {shown(self.accuracy, '.4f')}", fontsize=10)
        return write_figure(figure, path)

    def __str__(self) -> str:
        lines = [
            f"accuracy {shown(self.accuracy, '.4f')}   macro-F1 {shown(self.macro_f1, '.4f')}   "
            f"{self.count:,} examples" + (f", {len(self.skipped)} skipped" * bool(self.skipped))
        ]
        if len(self.labels) <= 20:
            names = [str(label) for label in self.labels]
            width = max(5, *map(len, names)) + 2
            lines.append("true \\ predicted".ljust(width + 2))
            lines.append(" " * width + "".join(name.rjust(width) for name in names))
            for label, row in zip(names, self.confusion, strict=True):
                lines.append(label.ljust(width) + "".join(f"{n}".rjust(width) for n in row))
        return "\n".join(lines)
