"""Values that people hand over by mistake, or in forms that only some take."""

import math
from pathlib import Path

import numpy as np


class Broken:
    """Has a length, and breaks wherever else it is touched."""

    def __len__(self):
        raise RuntimeError("no length")

    def __iter__(self):
        raise TypeError("no items")


def values():
    """Each with a name; made anew, since generators can be read once."""
    import pandas as pd
    import torch

    return {
        "None": None,
        "True": True,
        "5": 5,
        "huge": 10**5000,
        "nan": math.nan,
        "text": "some words that are no path at all",
        "lines": "one line\nanother line\n" * 50,
        "long text": "a" * 5000,
        "zero byte": "a\0b",
        "empty text": "",
        "bytes": b"abc",
        "missing path": Path("nowhere/none.csv"),
        "no list": [],
        "empty tuple": (),
        "empty dict": {},
        "empty array": np.zeros((0,)),
        "list of None": [None, None],
        "list of numbers": [1, 2, 3],
        "list of nan": [math.nan] * 8,
        "list of texts": ["a b", "c d", "e"],
        "list of lists": [["a", "b"], ["c"]],
        "nested": [[[["a"]]], [[[1]]]],
        "mixed": ["a", 1, None, ["b"]],
        "deep": _deep(300),
        "pair of unequal": (["a", "b"], ["x"]),
        "pair of nothing": ([], []),
        "pair of None": (None, None),
        "pair of text": ("ab", "xy"),
        "three": (["a"], ["b"], ["c"]),
        "set": {"a", "b"},
        "dict": {"a": 1, "b": [2, 3]},
        "dict of columns": {"text": ["a", "b"], "label": ["x"]},
        "generator": (x for x in ("a", "b")),
        "empty generator": (x for x in ()),
        "object": object(),
        "class": dict,
        "function": len,
        "broken": Broken(),
        "0-d array": np.array(3.0),
        "object array": np.array([None, "a", 1], object),
        "complex": np.zeros(4, complex),
        "strings": np.array(["a", "b"]),
        "4-d array": np.zeros((2, 2, 2, 2)),
        "infinite": [math.inf, 1.0, 2.0],
        "too large": [1e300, 1.0, 2.0] * 9,
        "hidden entries": np.ma.masked_greater(np.arange(12.0), 7.0),
        "all hidden": np.ma.masked_all(5),
        "hidden texts": np.ma.array(["a", "b"], mask=[True, False]),
        "dates": np.arange("2024-01-01", "2024-01-20", dtype="datetime64[D]"),
        "tensor": torch.zeros(3, 2),
        "tensor with a negative bit": torch.zeros(6, dtype=torch.complex64).conj().imag,
        "conjugate tensor": torch.zeros(6, dtype=torch.complex64).conj(),
        "tensor that learns": torch.zeros(3, requires_grad=True),
        "0-d tensor": torch.tensor(1.0),
        "half": torch.zeros(3, dtype=torch.bfloat16),
        "Series": pd.Series(["a", "b"]),
        "Series of numbers": pd.Series([1.0, None, 3.0]),
        "dated Series": pd.Series([1.0], index=pd.to_datetime(["2024-01-01"])),
        "Series of levels": pd.Series(
            [1.0, 2.0], index=pd.MultiIndex.from_tuples([("a", 1), ("b", 1)])
        ),
        "empty frame": pd.DataFrame(),
        "frame": pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
        "frame twice": pd.DataFrame([[1, 2]], columns=["a", "a"]),
        "frame of NA": pd.DataFrame({"text": ["a", pd.NA], "label": [pd.NA, "x"]}),
        "frame of dates": pd.DataFrame({"ds": [pd.NaT, pd.Timestamp("2024-01-01")], "y": [1, 2]}),
    }


def _deep(levels):
    found = "a"
    for _ in range(levels):
        found = [found]
    return found
