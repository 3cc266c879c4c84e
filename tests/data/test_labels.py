"""Labels in memory: they come back as they were given, or are refused as files refuse them."""

import json

import numpy as np
import pytest

from recurra.data.labels import LabelKinds, read_labels
from recurra.errors import InputError

GIVEN = [
    (["x", "y"], ["x", "y"], None),
    ([1, 0], ["1", "0"], None),
    ([True, False], ["True", "False"], None),
    ([0.5, 2.0, -0.0], ["0.5", "2.0", "0.0"], None),
    ([10**30, -1], [str(10**30), "-1"], None),
    ([1, "z"], ["1", "z"], None),
    ([np.int64(3), np.int64(4)], ["3", "4"], None),
    (np.array([1, 0], np.int8), ["1", "0"], "int8"),
    (np.array([1, 0], ">i4"), ["1", "0"], "int32"),
    (np.array([0.1, 0.2], np.float32), ["0.10000000149011612", "0.20000000298023224"], "float32"),
    (np.array([True, False]), ["True", "False"], "bool"),
    (np.array(["a", "bc"]), ["a", "bc"], "U"),
    (np.array([2**63, 1], np.uint64), [str(2**63), "1"], "uint64"),
    (np.array(["a", 1], object), ["a", "1"], "object"),
]


@pytest.mark.parametrize(("given", "texts", "dtype"), GIVEN, ids=str)
def test_they_come_back_as_they_were_given_also_from_json(given, texts, dtype):
    found, kinds = read_labels(given, [f"example {k}" for k in range(len(given))])
    assert (found, kinds.dtype) == (texts, dtype)
    state = json.loads(json.dumps(kinds.to_json(found)))
    for each in (kinds, LabelKinds.from_json(state, found)):
        back = each.given(found)
        assert isinstance(back, np.ndarray) == (dtype is not None)
        assert list(back) == list(given)
        types = [type(one) for one in back]
        if dtype is not None:
            assert back.dtype.kind == given.dtype.kind
            assert back.dtype.itemsize == given.dtype.itemsize
        else:
            assert types == [
                type(one.item() if isinstance(one, np.generic) else one) for one in given
            ]


REFUSED = [
    ([1, None], "example 1: no label: received None"),
    ([1.0, float("nan")], "example 1: no label: received float nan"),
    (["a", np.nan], "example 1: no label: received float nan"),
    (["a", ""], "example 1: no label"),
    ([["x", "y"], ["x"]], "example 0: expected one label, received a list of 2"),
    ([("x",), "y"], "example 0: expected one label, received a tuple of 1"),
    ([{"x": 1}, "y"], "example 0: expected one label, received a dict of 1"),
    (np.zeros((2, 2)), "example 0: expected one label, received"),
    ([1, "1"], "example 1: the label '1' and the label 1 of example 0 are of two kinds"),
    ([1, True], "example 1: the label True and the label 1 of example 0 are of two kinds"),
    ([1, 1.0], "example 1: the label 1.0 and the label 1 of example 0 are of two kinds"),
    ([1.0, float("inf")], "example 1: expected a label that is a text, a number"),
    (["a", object()], "example 1: expected a label that is a text, a number"),
    ([10**5000, 1], "example 0: expected a label"),
    (np.array(["2024-01-01", "NaT"], "datetime64[D]"), "example 0: expected a label"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_what_is_no_label_is_refused_in_one_line(given, told):
    with pytest.raises(InputError) as error:
        read_labels(given, ["example 0", "example 1"])
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "state",
    [
        {"values": [1], "dtype": None},
        {"values": [1, 3], "dtype": None},
        {"values": [1, None], "dtype": None},
        {"values": [1, 2], "dtype": "V8"},
        {"values": [1, 2], "dtype": "M8[s]"},
        {"values": "12", "dtype": None},
        {"dtype": None},
        5,
    ],
)
def test_damaged_kinds_are_refused(state):
    with pytest.raises((ValueError, TypeError, KeyError)):
        LabelKinds.from_json(state, ["1", "2"])
