"""Labels as they were given: models and files tell them apart by their texts, and give them back as
the numbers, truth values or texts that they were."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import is_tensor, plain, shown

Label = str | int | float | bool
#: Kinds of numpy arrays that labels come back in.
_KINDS = "iufbUO"
#: Digits that Python writes and reads without a limit in the way.
_DIGITS = 4000


@dataclass(frozen=True)
class LabelKinds:
    """Which label each text stands for.

    values: the label by its text, where it is no text itself. dtype: of the numpy array that they
    come back in, as numpy writes it; None for lists.
    """

    values: Mapping[str, Label] = field(default_factory=dict)
    dtype: str | None = None

    def label(self, text: str) -> Label:
        """The label that a text stands for."""
        return self.values.get(text, text)

    def labels(self, texts: Iterable[str]) -> tuple[Label, ...]:
        """The labels that texts stand for."""
        return tuple(map(self.label, texts))

    def sorted(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Texts of labels in order: by value where all are numbers, else by code points."""
        distinct = sorted(texts)
        values = {text: self.label(text) for text in distinct}
        if any(isinstance(value, str) for value in values.values()):
            return tuple(distinct)
        return tuple(sorted(distinct, key=lambda text: float(values[text])))

    def given(self, texts: Sequence[str]) -> Any:
        """Labels in the form they were given in: a list, or an array of their dtype."""
        labels = self.labels(texts)
        return list(labels) if self.dtype is None else _array(labels, self.dtype)

    def as_array(self, texts: Iterable[str]) -> "LabelKinds":
        """With the dtype of an array where labels from a list are numbers, all of one kind."""
        if self.dtype is not None:
            return self
        (kind, *others) = {type(self.label(text)) for text in texts}
        if others or kind is str:
            return self
        dtype = np.array(self.labels(set(texts))).dtype
        return replace(self, dtype=dtype.name) if dtype.kind in "ifb" else self

    def one(self, text: str) -> Any:
        """One label: a value of the array's kind where they were given as one."""
        return self.label(text) if self.dtype is None else self.given([text])[0]

    def to_json(self, texts: Sequence[str]) -> dict[str, Any] | None:
        """As JSON: the labels of these texts, in their order; None where all are texts in lists."""
        if self.dtype is None and not any(text in self.values for text in texts):
            return None
        return {"values": list(self.labels(texts)), "dtype": self.dtype}

    @classmethod
    def from_json(cls, state: Any, texts: Sequence[str]) -> "LabelKinds":
        """What `to_json` wrote of these texts; ValueError where it is something else."""
        if state is None:
            return cls()
        values, dtype = state["values"], state["dtype"]
        if not isinstance(values, list) or len(values) != len(texts):
            raise ValueError(f"expected {len(texts)} labels as they were given")
        for value, text in zip(values, texts, strict=True):
            if not isinstance(value, str | int | float | bool) or str(value) != text:
                raise ValueError(f"expected the label {text!r} as it was given, found {value!r}")
        made = {t: v for t, v in zip(texts, values, strict=True) if not isinstance(v, str)}
        if dtype is not None:
            kind = np.dtype(dtype if isinstance(dtype, str) else "V")
            if kind.kind not in _KINDS:
                raise ValueError(f"expected a dtype of numbers or texts, found {dtype!r}")
            try:
                _array(values, dtype)
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"labels that are no {dtype}: {error}") from None
        return cls(made, dtype)


#: Labels that are texts, in lists.
TEXTS = LabelKinds()


def read_labels(given: Iterable[Any], places: Sequence[str]) -> tuple[list[str], LabelKinds]:
    """The texts of labels in memory, and which labels they stand for.

    Args:
        given: a label for each of `places`: a list, an array (N,), a Series, a tensor.
        places: where each stands, for errors.

    Raises:
        InputError: a label is missing (None, NaN, an empty text), or is several, or is neither text
            nor number nor truth value; or two of different kinds read alike, as 1 and "1".
    """
    dtype = dtype_of(given)
    texts: list[str] = []
    values: dict[str, Label] = {}
    first: dict[Any, tuple[Label, str]] = {}
    seen: dict[tuple[type, Label], str] = {}
    for label, place in zip(plain(given), places, strict=True):
        one = label_of(label, place)
        known = seen.get((type(one), one))
        if known is not None:
            texts.append(known)
            continue
        text = seen[type(one), one] = str(one)
        for key in (text, one):
            before, where = first.setdefault(key, (one, place))
            if type(before) is not type(one):
                raise InputError(
                    f"{place}: the label {one!r} and the label {before!r} of {where} are of two "
                    "kinds and read alike: give all labels as one kind"
                )
        texts.append(text)
        if not isinstance(one, str):
            values[text] = one
    return texts, LabelKinds(values, dtype)


def dtype_of(given: Any) -> str | None:
    """The dtype of an array, tensor or Series of numbers or texts; None of anything else."""
    if not isinstance(given, list | tuple):
        given = plain(given)
    dtype = getattr(given, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.kind not in _KINDS:
        return None
    return "U" if dtype.kind == "U" else dtype.newbyteorder("=").name


def label_of(label: Any, place: str) -> Label:
    """One label as a value of Python's own; InputError where there is none, or are several."""
    if isinstance(label, np.generic) or (is_tensor(label) and label.ndim == 0):
        label = label.item()
    if isinstance(label, str):
        if label:
            return str(label)
        missing: Any = True
    else:
        missing = label is None or _is_missing(label)
    if missing:
        raise InputError(f"{place}: no label: received {shown(label)}: leave the example out")
    if isinstance(label, bool):
        return label
    if isinstance(label, int) and label.bit_length() < 3 * _DIGITS:
        return int(label)
    if isinstance(label, float) and math.isfinite(label):
        return float(label) + 0.0  # one zero, not two
    several = not isinstance(label, int | float) and isinstance(label, Iterable)
    expected = "one label" if several else "a label that is a text, a number or a truth value"
    raise InputError(f"{place}: expected {expected}, received {shown(label)}")


def _is_missing(label: Any) -> bool:
    """Whether it is NaN, NaT or NA: what is not equal to itself, or does not know."""
    if isinstance(label, list | tuple | dict | set | frozenset | np.ndarray):
        return False
    try:
        return bool(label != label)
    except (TypeError, ValueError, RuntimeError):
        # pandas' NA knows no truth; what is several, as a tensor, is not missing.
        return not hasattr(label, "__len__")


def _array(labels: Sequence[Label], dtype: str) -> np.ndarray:
    found = np.empty(len(labels), np.dtype(dtype))
    if found.dtype.kind == "U":  # as long as the longest
        return np.array(labels, str)
    found[:] = labels
    return found
