"""What users give, whatever its kind: lists and generators, frames and tensors, paths, and what of
it had to be left out. Other libraries' objects are known by what they can do: none is imported."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.errors import InputError, one_line
from recurra.opened import is_open_file, path_of_open

#: Characters of a text that messages show.
SHOWN = 60
#: A name longer than this, or of so many words, that no file has is taken for a text.
_LONG, _WORDS = 200, 4


@dataclass(frozen=True)
class LeftOut:
    """What of some data could not be used.

    count: how many. first: the place and the reason of the first. total: how many there were with
    these, 0 where that is not known. unit: what is counted.
    """

    count: int = 0
    first: str = ""
    total: int = 0
    unit: str = "rows"

    @classmethod
    def of(cls, lines: Sequence[str], *, kept: int | None, unit: str = "rows") -> "LeftOut":
        """A summary of `lines`, "file, line 7: reason" each, beside `kept` that could be used."""
        total = 0 if kept is None else kept + len(lines)
        return cls(len(lines), lines[0] if lines else "", total, unit)

    def __bool__(self) -> bool:
        return self.count > 0

    def __add__(self, other: "LeftOut") -> "LeftOut":
        """Both together, as of training and held-out data; units are those of the first."""
        known = bool(self.total) and bool(other.total)
        total = self.total + other.total if known else 0
        unit = self.unit if self or not other else other.unit
        return LeftOut(self.count + other.count, self.first or other.first, total, unit)

    def __str__(self) -> str:
        if not self:
            return "nothing left out"
        of = f" of {self.total:,}" if self.total else ""
        unit = _singular(self.unit) if (self.total or self.count) == 1 else self.unit
        which = "" if self.count == 1 else "the first: "
        return f"left out {self.count:,}{of} {unit}: {which}{one_line(_cut(self.first, 4 * SHOWN))}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


#: Of data of which everything could be used.
NOTHING = LeftOut()


def _singular(unit: str) -> str:
    return unit if unit == "series" else unit.removesuffix("s")


def shown(value: Any) -> str:
    """A value as messages show it: what it is, never more than a line of it."""
    if value is None:
        return "None"
    if isinstance(value, bool | int | float | complex):
        try:
            return _cut(f"{type(value).__name__} {value!r}", SHOWN)
        except ValueError:  # more digits than Python writes
            return "a number of thousands of digits"
    if isinstance(value, os.PathLike):
        return f"the path {_cut(repr(os.fspath(value)), SHOWN)}"
    if isinstance(value, str):
        if len(value) > SHOWN:
            return f"a text of {len(value):,} characters, {value[: SHOWN // 2]!r} …"
        return f"the text {value!r}"
    name = type(value).__name__
    if is_frame(value):
        columns = ", ".join(map(str, list(value.columns)[:6]))
        return f"a {name} with the columns {_cut(columns, SHOWN)}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        size = f"({', '.join(map(str, shape))})"
        return f"{an(name)} {size} of {getattr(value, 'dtype', 'no dtype')}"
    try:
        return f"an empty {name}" if not len(value) else f"{an(name)} of {len(value):,}"
    except Exception:  # what has no length, or breaks when it is asked for
        return an(name)


def reason(error: Exception) -> str:
    """Why an object could not be made of what a file says, in a line."""
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error).partition("\n")[0] or type(error).__name__


def brief(value: Any) -> str:
    """A value as Python writes it, cut to what a line can hold."""
    try:
        text = repr(value)
    except Exception:  # numbers of too many digits, lists too deep, objects that cannot say
        return shown(value)
    return shown(value) if "\n" in text else _cut(text, SHOWN)


def is_frame(value: Any) -> bool:
    """Whether it is a DataFrame, of pandas or alike: columns that can be had by name."""
    named = hasattr(value, "columns") and not hasattr(value, "column_names")
    return named and hasattr(value, "shape") and hasattr(value, "__getitem__")


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor, as torch's: numbers that may need to be detached first."""
    return hasattr(value, "detach") and hasattr(value, "cpu") and hasattr(value, "numpy")


def is_series(value: Any) -> bool:
    """Whether it is one column, with an index as pandas' Series or without as polars'."""
    return (
        hasattr(value, "to_numpy")
        and (hasattr(value, "index") or hasattr(value, "to_list"))
        and not is_frame(value)
    )


def is_masked(value: Any) -> bool:
    """Whether it is an array of numpy that hides some of its entries."""
    return hasattr(value, "mask") and hasattr(value, "filled") and hasattr(value, "dtype")


def is_sparse(value: Any) -> bool:
    """Whether it is a sparse matrix or array, as scipy's: only some of its entries are there."""
    return hasattr(value, "tocsr") and hasattr(value, "toarray")


def plain(value: Any) -> Any:
    """A tensor, Series or what says how to become one as numpy array, a generator as list;
    everything else as it is.

    Entries that a masked array hides are missing: NaN among numbers, None elsewhere.
    """
    if is_tensor(value):
        tensor = value.detach().cpu().resolve_conj().resolve_neg()
        return tensor.float().numpy() if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()
    if is_series(value):
        return value.to_numpy()
    if is_masked(value):
        if not value.mask.any():
            return value.data
        kind = float if value.dtype.kind in "fiub" else object
        return value.astype(kind).filled(float("nan") if kind is float else None)
    says = hasattr(value, "__array__") and not isinstance(value, type)
    if says and not hasattr(value, "dtype") and not is_frame(value):
        return value.__array__()
    if isinstance(value, Iterable) and not hasattr(value, "__len__"):
        return list(value)
    return value


def columns_of(value: Any) -> dict[str, Any] | None:
    """The columns of a DataFrame, of a mapping of lists, of a table of pyarrow's, of a data set of
    mappings (as Hugging Face's), or of a list of mappings, by name; None of anything else.

    Raises:
        InputError: a mapping of data sets, or mappings that have not the same names.
    """
    if isinstance(value, Mapping) and not is_sparse(value):  # scipy's dok_array is a dict
        for name, part in value.items():
            if is_frame(part) or _is_data_set(part):
                raise InputError(
                    f"data: expected one data set, received several by name, the first {name!r}: "
                    f"give one, as data[{name!r}]"
                )
        return {str(name): column for name, column in value.items()}
    if is_frame(value):
        return {str(name): value[name] for name in value.columns}
    if _is_data_set(value):
        columns = {str(name): value[name] for name in value.column_names}
        lists = {n: c.to_pylist() for n, c in columns.items() if hasattr(c, "to_pylist")}
        return columns | lists
    if isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) for v in value):
        names = list(value[0])
        for place, row in enumerate(value):
            if set(row) != set(names):
                raise InputError(
                    f"data: example {place}: expected {', '.join(map(str, names))}, as the first "
                    f"has, received {', '.join(map(str, row))}: give each the same names"
                )
        return {str(name): [row[name] for row in value] for name in names}
    return None


def _is_data_set(value: Any) -> bool:
    """Whether it is a table that names its columns so: Hugging Face's, pyarrow's."""
    names = getattr(value, "column_names", None)
    return isinstance(names, list) and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def listed(value: Any, what: str, expected: str) -> list[Any]:
    """The items of a list, tuple, array, Series, tensor or generator.

    Args:
        value: what was given.
        what: where it stands, for errors: `predict`.
        expected: what it should be, for errors: `a text, or a list of texts`.

    Raises:
        InputError: it has no items, or none in an order.
    """
    if is_sparse(value):
        raise InputError(
            f"{what}: expected {expected}, received {shown(value)}, which is sparse: make it dense"
        )
    wrong = isinstance(value, str | bytes | bytearray | Mapping | set | frozenset)
    able = isinstance(value, Iterable) or hasattr(value, "__array__")
    if not able and _is_numbered(value):
        return [value[k] for k in range(len(value))]
    if wrong or is_frame(value) or not able:
        raise InputError(f"{what}: expected {expected}, received {shown(value)}")
    if getattr(value, "shape", None) == ():
        raise InputError(f"{what}: expected {expected}, received a single value of an array")
    try:
        items = iter(plain(value))
    except TypeError as error:
        raise InputError(f"{what}: expected {expected}, received {shown(value)}") from error
    return list(items)


def settled(value: Any) -> Any:
    """What can be read once, as a generator, and data sets of torch's as lists; everything else as
    it is."""
    if is_path(value) or columns_of(value) is not None:
        return value
    if isinstance(value, Iterator):
        return list(value)
    iterable = isinstance(value, Iterable) or hasattr(value, "__array__")
    if not iterable and _is_numbered(value):
        return [value[k] for k in range(len(value))]
    return value


def _is_numbered(value: Any) -> bool:
    """Whether it has items by number, as data sets of torch's do."""
    able = hasattr(value, "__len__") and hasattr(value, "__getitem__")
    return able and not isinstance(value, type)


def inputs_of(value: Any, name: str) -> Any:
    """Of a table the column `name`, or the only one it has; everything else as it is.

    Raises:
        InputError: a table of several columns, none of that name.
    """
    columns = columns_of(value)
    if columns is None:
        return value
    if name in columns:
        return columns[name]
    if len(columns) == 1:
        return next(iter(columns.values()))
    raise InputError(f"data: expected a column {name!r}, received {shown(value)}: rename one")


def pairs_of(value: Any, first: str, second: str) -> Any:
    """Of a table with both columns, or of two lists (X, y), the pairs; everything else as it is.

    Raises:
        InputError: a table without one of them, or two lists of different lengths.
    """
    columns = columns_of(value)
    if columns is None:
        return zipped(value, "data")
    absent = [name for name in (first, second) if name not in columns]
    if absent:
        raise InputError(
            f"data: expected the columns {first!r} and {second!r}, received "
            f"{', '.join(map(brief, list(columns)[:6])) or 'none'}: rename them"
        )
    sides = [listed(columns[name], f"column {name!r}", "a column") for name in (first, second)]
    return zipped((sides[0], sides[1]), "data")


def zipped(value: Any, what: str) -> Any:
    """Pairs of the two lists of a tuple (X, y), as scikit-learn has data; everything else as it is.

    Raises:
        InputError: the two differ in length.
    """
    pair = isinstance(value, tuple) and len(value) == 2
    if not pair or not all(isinstance(v, list) or hasattr(v, "__array__") for v in value):
        return value
    inputs, answers = (listed(side, what, "a list") for side in value)
    if len(inputs) != len(answers):
        raise InputError(
            f"{what}: expected an answer for each input, received {len(inputs)} inputs and "
            f"{len(answers)} answers"
        )
    return list(zip(inputs, answers, strict=True))


def is_path(value: Any) -> bool:
    """Whether it is meant as a path, or is an open file."""
    return isinstance(value, str | os.PathLike) or is_open_file(value)


def path_of(
    value: Any, what: str, expected: str, *, new: bool = False, text: str = "write it to a file"
) -> Path:
    """The path of a file or folder, or of an open file; with `new` of one that need not be there,
    whatever its name. `text` says what to do with a text.

    Raises:
        InputError: it is no path, or a text where one was expected.
    """
    if is_open_file(value) and not new:
        return path_of_open(value, what, expected)
    if not is_path(value) or is_open_file(value):
        raise InputError(f"{what}: expected {expected}, received {shown(value)}")
    name = os.fspath(value)
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    if "\0" in name or (not new and _reads_as_text(name)):
        raise InputError(
            f"{what}: expected {expected}, received a text of {len(name):,} characters: a text is "
            f"not a path: {text}"
        )
    return Path(name)


def _reads_as_text(name: str) -> bool:
    if len(name) <= _LONG and len(name.split()) < _WORDS and "\n" not in name:
        return False
    try:
        return not os.path.lexists(name)
    except (OSError, ValueError):
        return True


def an(name: str) -> str:
    """A noun with its article."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " …"
