"""Labelled examples in memory: texts, or sequences of numbers. No torch."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recurra.data.labels import TEXTS, LabelKinds, read_labels
from recurra.errors import InputError
from recurra.given import LeftOut, columns_of, listed, plain, settled, shown
from recurra.tasks.estimator import NO_FEATURES, weights_of

_DEEPEST = 4  # lists in lists, of which two have a meaning
_MISSING = {"", "na", "nan", "null", "none", "?"}  # cells of a CSV file that hold no number


@dataclass(frozen=True)
class Examples:
    """Inputs and their labels.

    inputs: texts, or arrays (T, F) float32 in which NaN is a missing value. labels: one a text,
    None where there are none. places: where each stands, for errors. skipped: a line for each row
    that could not be read. sha256: tells data apart. name: of the first file. kinds: which labels
    the texts in `labels` stand for. weights: (N,) of the loss of each; None where all count alike.
    """

    inputs: list[Any]
    labels: list[str] | None
    places: list[str]
    skipped: list[str] = field(default_factory=list)
    sha256: str = ""
    name: str = "data"
    kinds: LabelKinds = TEXTS
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def left_out(self) -> LeftOut:
        """How many rows could not be read, and the first of them."""
        return LeftOut.of(self.skipped, kept=len(self))

    def take(self, indices: Sequence[int] | np.ndarray) -> "Examples":
        """Some of the examples, in that order."""
        chosen = [int(k) for k in indices]
        return Examples(
            [self.inputs[k] for k in chosen],
            None if self.labels is None else [self.labels[k] for k in chosen],
            [self.places[k] for k in chosen],
            self.skipped,
            self.sha256,
            self.name,
            self.kinds,
            None if self.weights is None else self.weights[chosen],
        )

    def weighted(self, given: Any) -> "Examples":
        """The examples with weights (N,), without those of weight 0; None changes nothing.

        Raises:
            InputError: as `weights_of`.
        """
        weights = weights_of(given, len(self))
        if weights is None:
            return self
        digest = hashlib.sha256(self.sha256.encode() + weights.tobytes()).hexdigest()
        return replace(self, weights=weights, sha256=digest).take(np.flatnonzero(weights))


def in_memory(
    inputs: Any, labels: Any, *, numbers: bool, axes: str = "time", column: str = "text"
) -> Examples:
    """Examples of what is in memory already: texts, or arrays (T, F), (T,) for F = 1.

    Args:
        inputs: a list, tuple, generator, Series, array or tensor of them, or a table with a column
            of texts; of numbers a table is a sequence a row.
        labels: likewise, a text, number or truth value for each; None for none.
        numbers: whether inputs are arrays.
        axes: "channels" where they are (F, T).
        column: of the texts, in a table of several.

    Raises:
        InputError: the two differ in number, or something is neither.
    """
    kind = "sequences of numbers, arrays (T, F)" if numbers else "texts"
    inputs, labels = settled(inputs), settled(labels)
    rows = listed(_rows(inputs, numbers, column), "examples", f"a list of {kind}")
    places = [f"example {k}" for k in range(len(rows))]
    digest = hashlib.sha256()
    made: list[Any] = []
    for one, place in zip(rows, places, strict=True):
        if numbers:
            array = numbers_of(one, place, axes=axes)
            made.append(array)
            digest.update(repr(array.shape).encode() + array.tobytes())
        elif isinstance(one, str):
            made.append(one)
            digest.update(one.encode("utf-8", "surrogatepass") + b"\0")
        else:
            raise InputError(f"{place}: expected a text, received {shown(one)}")
    if numbers:
        same_features(made, places)
    texts, kinds = None, TEXTS
    if labels is not None:
        given = _one_column(labels)
        given = given if hasattr(given, "dtype") else listed(given, "labels", "a list of labels")
        count = len(listed(given, "labels", "a list of labels"))
        if len(rows) != count:
            raise InputError(
                f"examples: expected a label for each input, received {len(rows)} inputs and "
                f"{count} labels"
            )
        if not rows:
            raise InputError("examples: expected inputs and their labels, received none")
        texts, kinds = read_labels(given, places)
        kinds = kinds.as_array(texts)
    digest.update("\0".join(texts or []).encode("utf-8", "surrogatepass"))
    return Examples(made, texts, places, [], digest.hexdigest(), kinds=kinds)


def _rows(inputs: Any, numbers: bool, column: str) -> Any:
    """Inputs as something to list: the rows of a table of numbers, the column of one of texts."""
    shape = getattr(inputs, "shape", None)
    if isinstance(shape, tuple) and len(shape) > 1 and 0 in shape[1:]:
        raise InputError(
            f"examples: 0 {NO_FEATURES} (shape={shape}) while a minimum of 1 is required: give "
            "each example some numbers"
        )
    columns = columns_of(inputs)
    if columns is None:
        array = plain(inputs)
        if not numbers and isinstance(array, np.ndarray) and array.ndim == 2 and len(array.T) == 1:
            return array[:, 0]
        return inputs
    if column in columns:
        return columns[column]
    if numbers:
        parts = [listed(columns[name], f"column {name!r}", "numbers") for name in columns]
        return [list(row) for row in zip(*parts, strict=True)]
    if len(columns) == 1:
        return next(iter(columns.values()))
    raise InputError(
        f"examples: expected a column of texts, received {shown(inputs)}: name it with input_column"
    )


def _one_column(labels: Any) -> Any:
    """Labels without the second axis of a table of one column."""
    columns = columns_of(labels)
    if columns is not None:
        if len(columns) != 1:
            raise InputError(
                f"labels: expected one column, received {shown(labels)}: give that of the labels"
            )
        return next(iter(columns.values()))
    shape = getattr(labels, "shape", None)
    if isinstance(shape, tuple) and len(shape) == 2 and shape[1] == 1:
        return labels[:, 0]
    return labels


def numbers_in_lines(lines: Iterable[str], features: int, *, first: int = 1) -> Examples:
    """Sequences of standard input, a line each: numbers parted by commas or white space, all
    `features` of a step together. Lines without anything are among those that were skipped.
    `first` is the number of the first line.

    Raises:
        InputError: a line that is something else.
    """
    found = Examples([], None, [])
    for number, line in enumerate(lines, first):
        place = f"standard input, line {number}"
        cells = line.replace(",", " ").split()
        if not cells:
            found.skipped.append(f"{place}: it is empty")
            continue
        if len(cells) % features:
            raise InputError(
                f"{place}: expected whole steps of {features} numbers, received {len(cells)} "
                "numbers"
            )
        steps = [cells[k : k + features] for k in range(0, len(cells), features)]
        found.inputs.append(numbers_of(steps, place))
        found.places.append(place)
    return found


def hold_out(examples: Examples, share: float, *, seed: int) -> tuple[Examples, Examples]:
    """Part with a share of the examples, drawn from each label in proportion.

    A label with one example keeps it in the first part.

    Raises:
        InputError: too few examples to part with any.
    """
    random = np.random.default_rng([seed, 0x5011])
    labels = np.array(examples.labels)
    kept, held = [], []
    for label in sorted(set(labels.tolist())):
        rows = random.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        held.append(rows[:count])
        kept.append(rows[count:])
    chosen = np.sort(np.concatenate(held))
    if chosen.size == 0:
        raise InputError(
            f"{examples.name}: no label has two examples, so none of {len(labels)} "
            f"{'sample' if len(labels) == 1 else 'samples'} can be held out: give more, or "
            "validation data"
        )
    return examples.take(np.sort(np.concatenate(kept))), examples.take(chosen)


def numbers_of(given: Any, place: str, *, axes: str = "time") -> np.ndarray:
    """Numbers (T, F) float32 with at least a step, NaN where one is missing; given as (F, T) where
    `axes` is "channels"."""
    given = plain(given)
    if getattr(getattr(given, "dtype", None), "kind", "") == "c":
        raise InputError(
            f"{place}: Complex data not supported: give real and imaginary parts as two features"
        )
    try:
        if isinstance(given, np.ndarray) and given.dtype.kind in "fiub":
            numbers = given
        else:
            numbers = np.array(_cells(given), np.float64)
        with np.errstate(over="ignore"):  # what is beyond float32 is refused below
            array = numbers.astype(np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        told = str(error) if str(error).startswith("expected") else "expected steps of numbers"
        raise InputError(f"{place}: {told}, all steps of as many features") from None
    if array.ndim == 0:
        raise InputError(
            f"{place}: expected numbers (T, F), received a single number. Reshape your data: one "
            "sequence x is [x], sequences of one number each are x[:, None]"
        )
    if array.ndim == 1:
        array = array[:, None]
    elif array.ndim == 2 and axes == "channels":
        array = np.ascontiguousarray(array.T)
    if array.ndim != 2 or not array.size:
        raise InputError(
            f"{place}: expected numbers (T, F) with at least one step, received shape {array.shape}"
        )
    if np.isinf(array).any():
        raise InputError(
            f"{place}: expected numbers within ±3.4e38 (float32), NaN where missing, received one "
            "beyond: divide by a constant, or write NaN"
        )
    return array


def _cells(given: Any, depth: int = 0) -> Any:
    """Nested lists with numbers for strings and NaN for what is missing."""
    if depth > _DEEPEST:
        raise ValueError("expected steps of numbers, received lists in lists in lists")
    if given is None:
        return math.nan
    if isinstance(given, str):
        if given.strip().lower() in _MISSING:
            return math.nan
        try:
            return float(given)
        except ValueError:
            raise ValueError(f"expected numbers, received {given[:40]!r}") from None
    if isinstance(given, list | tuple | np.ndarray):
        return [_cells(item, depth + 1) for item in given]
    real = isinstance(given, int | float | np.integer | np.floating)
    if real and not isinstance(given, bool):
        try:
            return float(given)
        except OverflowError:
            raise ValueError("expected numbers, received one of hundreds of digits") from None
    raise TypeError


def same_features(arrays: Sequence[np.ndarray], places: Sequence[str]) -> None:
    """Raise InputError where an array (T, F) has other features than the first."""
    for array, place in zip(arrays, places, strict=True):
        if array.shape[1] != arrays[0].shape[1]:
            raise InputError(
                f"{place}: expected steps of {arrays[0].shape[1]} features, as the first has, "
                f"received {array.shape[1]}"
            )
