"""Labelled examples from files and tables: texts, or sequences of numbers. No torch."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.checked import checked
from recurra.data.cells import decimal_comma, read_bytes
from recurra.data.tables import Table, format_of, read_table
from recurra.errors import InputError
from recurra.given import brief, columns_of, listed, path_of, shown
from recurra.tasks.classifier.arrays import read_arrays
from recurra.tasks.classifier.examples import Examples, in_memory, numbers_of


def from_columns(
    given: Any, *, value: str, label: str | None, numbers: bool, features: int
) -> Examples:
    """Examples of a DataFrame, or of a mapping of columns.

    Args:
        given: the columns.
        value: the column of the texts, or of the sequences; where numbers have none of that name,
            all columns but the labels' are the numbers of a row, as in a CSV file.
        label: the column of the labels; None reads none.
        numbers: whether inputs are sequences of numbers.
        features: numbers of a step, where a row is a sequence.

    Raises:
        InputError: a column is missing, or as `in_memory`.
    """
    columns = columns_of(given)
    assert columns is not None
    wide = numbers and value not in columns
    wanted = [name for name in ("" if wide else value, label) if name]
    absent = [name for name in wanted if name not in columns]
    if absent or not columns:
        there = ", ".join(map(repr, list(columns)[:8])) or "no column"
        raise InputError(
            f"data: expected the columns {', '.join(map(repr, wanted))}, received {there}: name "
            "them with input_column and label_column"
        )
    if not wide:
        return in_memory(columns[value], label and columns[label], numbers=numbers)
    names = [name for name in columns if name != label]
    parts = [listed(columns[name], f"column {name!r}", "a column of values") for name in names]
    count = max(map(len, parts), default=0)
    if any(len(part) != count for part in parts):
        raise InputError(
            f"data: expected columns of one length, received {min(map(len, parts))} to {count} "
            "values"
        )
    rows = [tuple(row) for row in zip(*parts, strict=True)]
    table = Table(tuple(names), rows, [f"row {k}" for k in range(count)])
    read = _read_wide(table, Path("data"), None, None, features, False)
    digest = in_memory(read.inputs, label and columns[label], numbers=True)
    return digest


@checked
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
    skipped, kept = list(table.skipped), []
    for row, place in zip(table.rows, table.places, strict=True):
        try:
            cells = [_text(cell, name) for cell, name in zip(row, columns, strict=True)]
            kept.append((cells, place))
        except ValueError as error:
            if not skip_bad:
                raise InputError(
                    f"{place}: {error}: correct it, or skip bad rows (--skip-bad)"
                ) from None
            skipped.append(f"{place}: {error}")
    if not kept:
        raise InputError(f"{_name(sources)}: expected rows, received none: all were bad")
    texts = [cells[0] for cells, _ in kept]
    labels = None if label is None else [cells[1] for cells, _ in kept]
    places = [place for _, place in kept]
    return Examples(texts, labels, places, skipped, table.sha256, _name(sources))


@checked
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
    axes: str = "time",
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
    `recurra.data.cells.DECIMALS`, is what stands before the fraction of a number. With `axes`
    "channels" arrays and lists are (F, T).

    Raises:
        InputError: as `read_table`, and for cells that are no numbers.
    """
    path = path_of(source, "data", "a file of sequences")
    if path.suffix.lower() == ".npz":
        return _read_npz(path, values, label, axes)
    kind = format_of(path)
    if kind in ("jsonl", "parquet"):
        columns = [values] if label is None else [values, label]
        table = read_table(path, columns, skip_bad=skip_bad, encoding=encoding)
        labels = [None] * len(table) if label is None else table.column(label)
        return _collect(
            table.column(values), labels, table.places, table.skipped, table.sha256, path, skip_bad,
            axes=axes,
        )  # fmt: skip
    if axes != "time":
        raise InputError(
            f"{path}: axes: a line of CSV or TSV has its numbers in the order of time: leave axes "
            "out, or say how many numbers a step has (features)"
        )
    table = read_table(
        path, None, header=header, optional=None, skip_bad=skip_bad, delimiter=delimiter,
        encoding=encoding,
    )  # fmt: skip
    for name in (label, sequence):
        if name is not None and name not in table.columns:
            raise InputError(
                f"{path}: expected a column {brief(name)}, received {', '.join(table.columns[:8])}"
            )
    table = _pointed(table, (label, sequence), decimal)
    read = _read_steps if sequence is not None else _read_wide
    return read(table, path, label, sequence, features, skip_bad)


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
            f"{path}: {len(at)} columns of values are no whole steps of {features} features: set "
            "features to the number that a step has"
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
                ": give each sequence one label"
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
    axes: str = "time",
) -> Examples:
    """Arrays of nested lists; bad ones raised or reported."""
    if labelled is None:
        labelled = any(label is not None for label in labels)
    found = Examples([], [] if labelled else None, [], list(skipped), sha256, path.name)
    width: int | None = None
    for given, label, place in zip(values, labels, places, strict=True):
        try:
            text = _label(label, place) if labelled else ""
            array = numbers_of(given, place, axes=axes)
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
            found.labels.append(text)
    if not found.inputs:
        raise InputError(f"{path}: expected sequences, received none that can be read")
    return found


def _read_npz(path: Path, values: str, label: str | None, axes: str) -> Examples:
    data = read_bytes(path)
    arrays = read_arrays(data, path, tuple(n for n in (values, label, "lengths") if n))
    for name in (values, label):
        if name is not None and name not in arrays:
            there = ", ".join(arrays) or "none"
            raise InputError(f"{path}: expected an array {brief(name)}, received {there}")
    x = arrays[values]
    if x.ndim not in (2, 3) or x.dtype.kind not in "fiub":
        raise InputError(
            f"{path}, {values}: expected numbers (N, T, F), received {x.dtype} of shape {x.shape}"
        )
    x = np.swapaxes(x, 1, 2) if axes == "channels" and x.ndim == 3 else x
    lengths = arrays.get("lengths", np.full(len(x), x.shape[1]))
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise InputError(
            f"{path}, lengths: expected whole numbers ({len(x)},), received {lengths.dtype} "
            f"of shape {lengths.shape}"
        )
    if len(x) and not 0 <= lengths.min() <= lengths.max() <= x.shape[1]:
        raise InputError(
            f"{path}, lengths: expected numbers from 0 to {x.shape[1]}, received {lengths.min()} "
            f"to {lengths.max()}"
        )
    labels = None if label is None else arrays[label].tolist()
    if labels is not None and len(labels) != len(x):
        raise InputError(f"{path}, {label}: expected {len(x)} labels, received {len(labels)}")
    places = [f"{path}, sequence {k}" for k in range(len(x))]
    made = [numbers_of(row[:n], place) for row, n, place in zip(x, lengths, places, strict=True)]
    told = None
    if labels is not None:
        told = [_label(value, place) for value, place in zip(labels, places, strict=True)]
    return Examples(made, told, places, [], hashlib.sha256(data).hexdigest(), path.name)


def _text(value: Any, column: str) -> str:
    """A cell of a table as text; ValueError where it holds nothing, or several values."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise ValueError(f"no value in the column {column!r}")
    if isinstance(value, list | tuple | Mapping | np.ndarray):
        raise ValueError(f"column {column!r}: expected one value, received {shown(value)}")
    try:
        return str(value)
    except ValueError:  # more digits than Python writes
        raise ValueError(f"column {column!r}: received {shown(value)}") from None


def _label(value: Any, place: str) -> str:
    try:
        return _text(value, "label")
    except ValueError as error:
        raise InputError(f"{place}: no label: {error}") from None


def _name(sources: str | Path | Sequence[str | Path]) -> str:
    first = sources if isinstance(sources, str | Path) else sources[0]
    return Path(first).name
