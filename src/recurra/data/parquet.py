"""Columns of a Parquet file as Python values. Needs pyarrow."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recurra.bounded import may_unpack_to
from recurra.errors import InputError

_CELL = 8  # bytes, about


def read_parquet(
    data: bytes, path: Path, choose: Callable[[list[str]], Sequence[str]]
) -> list[list[Any]]:
    """The columns that `choose` picks from all their names, each as a list.

    Raises:
        InputError: pyarrow is not installed; the file is damaged, holds values that Python has no
            form for, or more of them than its size makes likely.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: reading Parquet needs pyarrow: pip install recurra[parquet]"
        ) from error
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(data))
        # Texts stay numbers of a dictionary until it is known how long they are together.
        texts = [c.path for c in map(file.schema.column, range(len(file.schema))) if _is_text(c)]
        file = parquet.ParquetFile(pyarrow.BufferReader(data), read_dictionary=texts)
        names = list(file.schema_arrow.names)
        double = next((name for name, n in Counter(names).items() if n > 1), None)
        if double is not None:
            raise InputError(f"{path}: the column {double!r} stands there twice: rename one")
        chosen = choose(names)
        cells = file.metadata.num_rows * max(1, len(chosen))
        if cells * _CELL > may_unpack_to(len(data)):
            raise InputError(
                f"{path}: {file.metadata.num_rows:,} rows in a file of {len(data):,} bytes: if it "
                "is what it should be, write it without dictionaries or compression"
            )
        read = file.read(columns=list(chosen))
        size = sum(_length(chunk) for column in read.columns for chunk in column.chunks)
        if size > may_unpack_to(len(data)):
            raise InputError(
                f"{path}: texts of {size:,} bytes in a file of {len(data):,}: if it is what it "
                "should be, write it without dictionaries or compression"
            )
        read.validate(full=True)
    except InputError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path}: expected a Parquet file, received one that cannot be read ({_line(error)}): "
            "write it anew"
        ) from None
    found = []
    for name in chosen:
        try:
            found.append(read.column(name).to_pylist())
        except (pyarrow.ArrowException, ValueError, OverflowError) as error:
            raise InputError(
                f"{path}: the column {name!r} has values that cannot be read ({_line(error)}): "
                "cast it"
            ) from None
    return found


def _is_text(column: Any) -> bool:
    return column.physical_type == "BYTE_ARRAY" and column.logical_type.type in ("STRING", "NONE")


def _length(array: Any) -> int:
    """The bytes of all texts of an array that has a dictionary; 0 for another."""
    import pyarrow
    from pyarrow import compute

    if not pyarrow.types.is_dictionary(array.type):
        return 0
    lengths = compute.cast(compute.binary_length(array.dictionary), pyarrow.int64())
    return compute.sum(lengths.take(array.indices)).as_py() or 0


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
