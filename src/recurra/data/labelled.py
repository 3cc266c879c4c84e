"""Labelled examples: texts, or sequences of numbers, from files or from memory. No torch."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.arrays import read_arrays
from recurra.data.cells import decimal_comma, read_bytes
from recurra.data.tables import Table, format_of, read_table
from recurra.errors import InputError

_MISSING = {"", "na", "nan", "null", "none", "?"}  # cells of a CSV file that hold no number


@dataclass(frozen=True)
class Examples:
    """Inputs and their labels.

    inputs: texts, or arrays (T, F) float32 in which NaN is a missing value. labels: one a text,
    None where there are none. places: where each stands, for errors. skipped: a line for each row
    that could not be read. sha256: tells data apart. name: of the first file.
    """

    inputs: list[Any]
    labels: list[str] | None
    places: list[str]
    skipped: list[str] = field(default_factory=list)
    sha256: str = ""
    name: str = "data"

    def __len__(self) -> int:
        return len(self.inputs)

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
        )


def in_memory(inputs: Sequence[Any], labels: Sequence[Any] | None, *, numbers: bool) -> Examples:
    """Examples of what is in memory already: texts, or arrays (T, F), (T,) for F = 1.

    Raises:
        InputError: the two differ in number, or something is neither.
    """
    if labels is not None and len(inputs) != len(labels):
        raise InputError(f"examples: received {len(inputs)} inputs and {len(labels)} labels")
    if labels is not None and not len(inputs):
        raise InputError("examples: expected inputs and their labels, received none")
    places = [f"example {k}" for k in range(len(inputs))]
    digest = hashlib.sha256()
    made: list[Any] = []
    for given, place in zip(inputs, places, strict=True):
        if numbers:
            made.append(_array(given, place))
            digest.update(repr(made[-1].shape).encode() + made[-1].tobytes())
        elif isinstance(given, str):
            made.append(given)
            digest.update(given.encode("utf-8", "surrogatepass") + b"\0")
        else:
            raise InputError(f"{place}: expected a text, received {type(given).__name__}")
    if numbers:
        _same_features(made, places)
    told = None if labels is None else [str(label) for label in labels]
    digest.update("\0".join(told or []).encode("utf-8", "surrogatepass"))
    return Examples(made, told, places, [], digest.hexdigest())


def read_texts(
    sources: str | Path | Sequence[str | Path],
    *,
    text: str = "text",
    label: str | None = "label",
    header: Sequence[str] | None = None,
    skip_bad: bool = False,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Examples:
    """Texts and labels from columns of tables (see `read_table`); `label` None reads none."""
    columns = [text] if label is None else [text, label]
    table = read_table(
        sources, columns, header=header, skip_bad=skip_bad, delimiter=delimiter, encoding=encoding
    )
    labels = None if label is None else [str(value) for value in table.column(label)]
    texts = [str(value) for value in table.column(text)]
    return Examples(texts, labels, table.places, table.skipped, table.sha256, _name(sources))


def read_numbers(
    source: str | Path,
    *,
    values: str = "x",
    label: str | None = "y",
    sequence: str | None = None,
    features: int = 1,
    header: Sequence[str] | None = None,
    skip_bad: bool = False,
    delimiter: str | None = None,
    encoding: str | None = None,
    decimal: str = "auto",
) -> Examples:
    """Sequences of numbers and their labels. `label` None reads none.

    Layouts:
        JSON lines and Parquet: a column `values` of steps, each a list of F numbers (or a number,
            F = 1), and a column `label`; null is a missing value.
        .npz: arrays `values` (N, T, F) and `label` (N,); where sequences differ in length also
            `lengths` (N,).
        CSV and TSV, a sequence a line: a column `label`; all others are its numbers in order, all
            `features` of a step together; empty fields at the end make it shorter, others are
            missing values.
        CSV and TSV, a step a line: with `sequence`, the column that says which sequence the step
            belongs to; all columns but that and `label` are its features.

    `delimiter` and `encoding` are those of `read_table`; `decimal`, one of
    `recurra.data.cells.DECIMALS`, is what stands before the fraction of a number.

    Raises:
        InputError: as `read_table`, and for cells that are no numbers.
    """
    path = Path(source)
    if path.suffix.lower() == ".npz":
        return _read_npz(path, values, label)
    kind = format_of(path)
    if kind in ("jsonl", "parquet"):
        columns = [values] if label is None else [values, label]
        table = read_table(path, columns, skip_bad=skip_bad, encoding=encoding)
        labels = [None] * len(table) if label is None else table.column(label)
        return _collect(
            table.column(values), labels, table.places, table.skipped, table.sha256, path, skip_bad
        )
    table = read_table(
        path, None, header=header, optional=None, skip_bad=skip_bad, delimiter=delimiter,
        encoding=encoding,
    )  # fmt: skip
    for name in (label, sequence):
        if name is not None and name not in table.columns:
            raise InputError(
                f"{path}: expected a column {name!r}, received {', '.join(table.columns[:8])}"
            )
    table = _pointed(table, (label, sequence), decimal)
    read = _read_steps if sequence is not None else _read_wide
    return read(table, path, label, sequence, features, skip_bad)


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


def _pointed(table: Table, words: tuple[str | None, ...], decimal: str) -> Table:
    """The table with points in numbers that have commas; the columns `words` hold none."""
    at = [k for k, name in enumerate(table.columns) if name not in words]
    numbers = (row[k] for row in table.rows for k in at if row[k] is not None)
    if not decimal_comma(numbers, table.places[0], decimal):
        return table
    chosen = frozenset(at)
    rows = [
        tuple(
            cell.replace(",", ".") if k in chosen and cell and "." not in cell else cell
            for k, cell in enumerate(row)
        )
        for row in table.rows
    ]
    return replace(table, rows=rows)


def _read_wide(
    table: Any,
    path: Path,
    label: str | None,
    sequence: str | None,
    features: int,
    skip_bad: bool,
) -> Examples:
    at = [k for k, name in enumerate(table.columns) if name != label]
    if len(at) % features:
        raise InputError(
            f"{path}: {len(at)} columns of values are no whole steps of {features} features: say "
            "how many features a step has"
        )
    made = []
    for row in table.rows:
        cells = [row[k] for k in at]
        while cells and all(cell is None for cell in cells[-features:]):
            del cells[-features:]
        made.append([cells[k : k + features] for k in range(0, len(cells), features)])
    labels = [None] * len(table) if label is None else table.column(label)
    return _collect(made, labels, table.places, table.skipped, table.sha256, path, skip_bad)


def _read_steps(
    table: Any,
    path: Path,
    label: str | None,
    sequence: str | None,
    features: int,
    skip_bad: bool,
) -> Examples:
    at = [k for k, name in enumerate(table.columns) if name not in (label, sequence)]
    assert sequence is not None
    steps: dict[str, list[list[Any]]] = {}
    labels: dict[str, Any] = {}
    places: dict[str, str] = {}
    told = [None] * len(table) if label is None else table.column(label)
    rows = zip(table.column(sequence), told, table.rows, table.places, strict=True)
    for name, of, row, place in rows:
        if labels.setdefault(name, of) != of:
            raise InputError(
                f"{place}: the sequence {name!r} had the label {labels[name]!r}, here it is {of!r}"
            )
        places.setdefault(name, f"{place} (sequence {name!r})")
        steps.setdefault(name, []).append([row[k] for k in at])
    return _collect(
        list(steps.values()),
        list(labels.values()),
        list(places.values()),
        table.skipped,
        table.sha256,
        path,
        skip_bad,
        labelled=label is not None,
    )


def _collect(
    values: Sequence[Any],
    labels: Sequence[Any],
    places: Sequence[str],
    skipped: Sequence[str],
    sha256: str,
    path: Path,
    skip_bad: bool,
    *,
    labelled: bool | None = None,
) -> Examples:
    """Arrays of nested lists; bad ones raised or reported."""
    if labelled is None:
        labelled = any(label is not None for label in labels)
    found = Examples([], [] if labelled else None, [], list(skipped), sha256, path.name)
    width: int | None = None
    for given, label, place in zip(values, labels, places, strict=True):
        try:
            if labelled and label is None:
                raise InputError(f"{place}: no label")
            array = _array(given, place)
            width = array.shape[1] if width is None else width
            if array.shape[1] != width:
                raise InputError(
                    f"{place}: expected steps of {width} features, as the first has, "
                    f"received {array.shape[1]}"
                )
        except InputError as error:
            if not skip_bad:
                raise
            found.skipped.append(str(error))
            continue
        found.inputs.append(array)
        found.places.append(place)
        if found.labels is not None:
            found.labels.append(str(label))
    if not found.inputs:
        raise InputError(f"{path}: expected sequences, received none that can be read")
    return found


def _read_npz(path: Path, values: str, label: str | None) -> Examples:
    data = read_bytes(path)
    arrays = read_arrays(data, path, tuple(n for n in (values, label, "lengths") if n))
    for name in (values, label):
        if name is not None and name not in arrays:
            there = ", ".join(arrays)
            raise InputError(f"{path}: expected an array {name!r}, received {there or 'none'}")
    x = arrays[values]
    if x.ndim not in (2, 3) or x.dtype.kind not in "fiub":
        raise InputError(
            f"{path}, {values}: expected numbers (N, T, F), received {x.dtype} of shape {x.shape}"
        )
    lengths = arrays.get("lengths", np.full(len(x), x.shape[1]))
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise InputError(f"{path}, lengths: expected whole numbers ({len(x)},)")
    if len(x) and not 0 <= lengths.min() <= lengths.max() <= x.shape[1]:
        raise InputError(f"{path}, lengths: expected numbers from 0 to {x.shape[1]}")
    labels = None if label is None else arrays[label].tolist()
    if labels is not None and len(labels) != len(x):
        raise InputError(f"{path}, {label}: expected {len(x)} labels, received {len(labels)}")
    places = [f"{path}, sequence {k}" for k in range(len(x))]
    made = [_array(row[:n], place) for row, n, place in zip(x, lengths, places, strict=True)]
    told = None if labels is None else [str(value) for value in labels]
    return Examples(made, told, places, [], hashlib.sha256(data).hexdigest(), path.name)


def _array(given: Any, place: str) -> np.ndarray:
    """Numbers (T, F) float32 with at least a step, NaN where one is missing."""
    try:
        if isinstance(given, np.ndarray) and given.dtype.kind in "fiub":
            array = given.astype(np.float32)
        else:
            array = np.array(_cells(given), np.float32)
    except (TypeError, ValueError) as error:
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
    if isinstance(given, int | float | np.number) and not isinstance(given, bool):
        try:
            return float(given)
        except OverflowError:
            raise ValueError("expected numbers, received one of hundreds of digits") from None
    raise TypeError


def _same_features(arrays: Sequence[np.ndarray], places: Sequence[str]) -> None:
    for array, place in zip(arrays, places, strict=True):
        if array.shape[1] != arrays[0].shape[1]:
            raise InputError(
                f"{place}: expected steps of {arrays[0].shape[1]} features, as the first has, "
                f"received {array.shape[1]}"
            )


def _name(sources: str | Path | Sequence[str | Path]) -> str:
    first = sources if isinstance(sources, str | Path) else sources[0]
    return Path(first).name
