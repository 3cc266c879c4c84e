"""Labelled examples in memory: texts, or sequences of numbers. No torch."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra.data.labels import TEXTS, LabelKinds, read_labels
from recurra.errors import InputError
from recurra.given import LeftOut, listed, plain, shown

_MISSING = {"", "na", "nan", "null", "none", "?"}  # cells of a CSV file that hold no number


@dataclass(frozen=True)
class Examples:
    """Inputs and their labels.

    inputs: texts, or arrays (T, F) float32 in which NaN is a missing value. labels: one a text,
    None where there are none. places: where each stands, for errors. skipped: a line for each row
    that could not be read. sha256: tells data apart. name: of the first file. kinds: which labels
    the texts in `labels` stand for.
    """

    inputs: list[Any]
    labels: list[str] | None
    places: list[str]
    skipped: list[str] = field(default_factory=list)
    sha256: str = ""
    name: str = "data"
    kinds: LabelKinds = TEXTS

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
        )


def in_memory(inputs: Any, labels: Any, *, numbers: bool) -> Examples:
    """Examples of what is in memory already: texts, or arrays (T, F), (T,) for F = 1.

    Args:
        inputs: a list, tuple, generator, Series, array or tensor of them.
        labels: likewise, a text, number or truth value for each; None for none.
        numbers: whether inputs are arrays.

    Raises:
        InputError: the two differ in number, or something is neither.
    """
    kind = "sequences of numbers, arrays (T, F)" if numbers else "texts"
    rows = listed(inputs, "examples", f"a list of {kind}")
    places = [f"example {k}" for k in range(len(rows))]
    texts, kinds = None, TEXTS
    if labels is not None:
        given = labels if hasattr(labels, "dtype") else listed(labels, "labels", "a list of labels")
        count = len(listed(given, "labels", "a list of labels"))
        if len(rows) != count:
            raise InputError(f"examples: received {len(rows)} inputs and {count} labels")
        if not rows:
            raise InputError("examples: expected inputs and their labels, received none")
        texts, kinds = read_labels(given, places)
    digest = hashlib.sha256()
    made: list[Any] = []
    for one, place in zip(rows, places, strict=True):
        if numbers:
            made.append(numbers_of(one, place))
            digest.update(repr(made[-1].shape).encode() + made[-1].tobytes())
        elif isinstance(one, str):
            made.append(one)
            digest.update(one.encode("utf-8", "surrogatepass") + b"\0")
        else:
            raise InputError(f"{place}: expected a text, received {shown(one)}")
    if numbers:
        same_features(made, places)
    digest.update("\0".join(texts or []).encode("utf-8", "surrogatepass"))
    return Examples(made, texts, places, [], digest.hexdigest(), kinds=kinds)


def numbers_in_lines(lines: Iterable[str], features: int) -> Examples:
    """Sequences of standard input, a line each: numbers parted by commas or white space, all
    `features` of a step together. Lines without anything are among those that were skipped.

    Raises:
        InputError: a line that is something else, or no line has numbers.
    """
    found = Examples([], None, [])
    for number, line in enumerate(lines, 1):
        place = f"standard input, line {number}"
        cells = line.replace(",", " ").split()
        if not cells:
            found.skipped.append(f"{place}: there is nothing in it")
            continue
        if len(cells) % features:
            raise InputError(
                f"{place}: expected whole steps of {features} numbers, received {len(cells)}"
            )
        steps = [cells[k : k + features] for k in range(0, len(cells), features)]
        found.inputs.append(numbers_of(steps, place))
        found.places.append(place)
    if not found.inputs:
        raise InputError("standard input: expected a sequence of numbers a line, received none")
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
            f"{examples.name}: no label has two examples, so none can be held out: give more, or "
            "validation data"
        )
    return examples.take(np.sort(np.concatenate(kept))), examples.take(chosen)


def numbers_of(given: Any, place: str) -> np.ndarray:
    """Numbers (T, F) float32 with at least a step, NaN where one is missing."""
    given = plain(given)
    try:
        if isinstance(given, np.ndarray) and given.dtype.kind in "fiub":
            array = given.astype(np.float32)
        else:
            array = np.array(_cells(given), np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        told = str(error) if str(error).startswith("expected") else "expected steps of numbers"
        raise InputError(f"{place}: {told}, all steps of as many features") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.size:
        raise InputError(
            f"{place}: expected numbers (T, F) with at least one step, received shape {array.shape}"
        )
    if np.isinf(array).any():
        raise InputError(f"{place}: a value is infinite: expected numbers, or none where missing")
    return array


def _cells(given: Any) -> Any:
    """Nested lists with numbers for strings and NaN for what is missing."""
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
        return [_cells(item) for item in given]
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
