"""Labelled texts and sequences of numbers, from every layout."""

import json

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from recurra.errors import InputError
from recurra.tasks.classifier.examples import hold_out, in_memory
from recurra.tasks.classifier.labelled import read_numbers, read_texts

NAN = float("nan")
#: Ragged, with a missing value.
ARRAYS = [
    np.array([[1, 2], [3, 4], [5, 6]], np.float32),
    np.array([[7, NAN]], np.float32),
    np.array([[-1.5, 0], [2, 1e-3]], np.float32),
]
LABELS = ["up", "down", "up"]


def write_json(path):
    lines = [
        json.dumps({"x": [[None if v != v else v for v in step] for step in a.tolist()], "y": y})
        for a, y in zip(ARRAYS, LABELS, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path, {}


def write_parquet(path):
    values = [[[None if v != v else v for v in step] for step in a.tolist()] for a in ARRAYS]
    parquet.write_table(pyarrow.table({"x": values, "y": LABELS}), path)
    return path, {}


def write_npz(path):
    padded = np.full((3, 3, 2), 99, np.float32)
    for row, a in enumerate(ARRAYS):
        padded[row, : len(a)] = a
    np.savez(path, x=padded, y=np.array(LABELS), lengths=[len(a) for a in ARRAYS])
    return path, {}


def write_wide(path):
    path.write_text("a1,a2,y,b1,b2,c1,c2\n1,2,up,3,4,5,6\n7,,down,,,,\n-1.5,0,up,2,0.001,,\n")
    return path, {"features": 2}


def write_steps(path):
    path.write_text(
        "who\tp\tq\ty\nA\t1\t2\tup\nA\t3\t4\tup\nB\t7\tNA\tdown\nC\t-1.5\t0\tup\nA\t5\t6\tup\n"
        "C\t2\t1e-3\tup\n"
    )
    return path, {"sequence": "who"}


LAYOUTS = {
    "a.jsonl": write_json,
    "a.parquet": write_parquet,
    "a.npz": write_npz,
    "a.csv": write_wide,
    "a.tsv": write_steps,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_holds_the_same_sequences(name, tmp_path):
    path, how = LAYOUTS[name](tmp_path / name)
    found = read_numbers(path, **how)
    assert found.labels == LABELS
    assert len(found.inputs) == 3
    for array, expected in zip(found.inputs, ARRAYS, strict=True):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected)
    assert all(str(path) in place for place in found.places)
    if name not in ("a.csv", "a.tsv"):
        assert read_numbers(path, label=None).labels is None


def test_sequences_in_memory_may_be_ragged():
    found = in_memory([ARRAYS[0], ARRAYS[1].tolist(), ARRAYS[2]], LABELS, numbers=True)
    for array, expected in zip(found.inputs, ARRAYS, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert in_memory([[1, 2, 3]], ["a"], numbers=True).inputs[0].shape == (3, 1)
    assert in_memory(["x"], [3], numbers=False).labels == ["3"]


@pytest.mark.parametrize(
    ("inputs", "labels", "numbers", "told"),
    [
        (["a"], ["x", "y"], False, "1 inputs and 2 labels"),
        ([3], ["x"], False, "example 0: expected a text, received int"),
        (["a"], ["x"], True, "example 0"),
        ([[[1, 2], [3]]], ["x"], True, "example 0"),
        ([[[1, 2]], [[3]]], ["x", "y"], True, "example 1: expected steps of 2 features"),
        ([[]], ["x"], True, "at least one step"),
        ([[[float("inf")]]], ["x"], True, "infinite"),
        ([np.zeros((2, 2, 2))], ["x"], True, r"\(2, 2, 2\)"),
    ],
)
def test_what_in_memory_is_no_example(inputs, labels, numbers, told):
    with pytest.raises(InputError, match=told):
        in_memory(inputs, labels, numbers=numbers)


BAD = [
    ("a.jsonl", '{"x": [[1, 2]], "y": "a"}\n{"x": [[1, "b"]], "y": "a"}\n{"x": [[3, 4]], "y": 1}\n',
     {}, "line 2: expected numbers, received 'b'"),
    ("a.jsonl", '{"x": [[1, 2]], "y": "a"}\n{"x": [[1]], "y": "a"}\n{"x": [[3, 4]], "y": 1}\n',
     {}, "line 2: expected steps of 2 features, as the first has, received 1"),
    ("a.jsonl", '{"x": [[1, 2]], "y": "a"}\n{"x": [[1, 2], [3]], "y": "a"}\n'
     '{"x": [[3, 4]], "y": 1}\n', {}, "line 2: "),
    ("a.jsonl", '{"x": [[1, 2]], "y": "a"}\n{"x": [], "y": "a"}\n{"x": [[3, 4]], "y": 1}\n',
     {}, "line 2: "),
    ("a.csv", "y,p,q\na,1,2\na,1,two\n1,3,4\n", {"features": 2}, "line 3: expected numbers, "
     "received 'two'"),
    ("a.csv", "y,p,q\na,1,2\n,1,2\n1,3,4\n", {"features": 2}, "line 3: no label"),
    ("a.csv", "y,p,q\na,1,2\na,,\n1,3,4\n", {"features": 2}, "line 3: "),
    ("a.csv", "y,s,p,q\na,s1,1,2\na,s2,1,2\na,s2,x,2\n1,s3,3,4\n", {"sequence": "s"},
     "line 3 (sequence 's2'): expected numbers, received 'x'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "how", "told"), BAD)
def test_bad_sequences_are_told_or_left_out(name, text, how, told, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_numbers(path, **how)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    found = read_numbers(path, **how, skip_bad=True)
    assert [a.tolist() for a in found.inputs] == [[[1, 2]], [[3, 4]]]
    assert found.labels == ["a", "1"]
    assert len(found.skipped) == 1
    assert told in found.skipped[0]


def test_layouts_that_do_not_fit(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("y,p,q,r\na,1,2,3\n")
    with pytest.raises(InputError, match="3 columns of values are no whole steps of 2"):
        read_numbers(path, features=2)
    with pytest.raises(InputError, match="expected a column 'label', received y, p"):
        read_numbers(path, label="label")
    path.write_text("s,y,p\n1,a,1\n1,b,2\n")
    with pytest.raises(
        InputError, match=r"line 3: the sequence '1' had the label 'a', here .* 'b'"
    ):
        read_numbers(path, sequence="s")


def test_npz_files_that_do_not_fit(tmp_path):
    path = tmp_path / "a.npz"
    x = np.zeros((2, 3, 1))
    for arrays, told in (
        ({"x": x}, "expected an array 'y', received x"),
        ({"x": x, "y": [1]}, "expected 2 labels, received 1"),
        ({"x": np.array(["a"]), "y": [1]}, "expected numbers"),
        ({"x": x, "y": [1, 2], "lengths": [1, 4]}, "from 0 to 3"),
        ({"x": x, "y": [1, 2], "lengths": [0.5, 1]}, "whole numbers"),
        ({"x": np.array([None, 3], object), "y": [1, 2]}, "not an .npz file"),  # a pickle
    ):
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=told):
            read_numbers(path)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"not an \.npz file"):
        read_numbers(path)
    with pytest.raises(InputError, match="no such file"):
        read_numbers(tmp_path / "b.npz")


def test_texts_and_labels_by_column(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("1\tgood\n0\tbad\n")
    found = read_texts(path, text="t", label="l", header=["l", "t"])
    assert (found.inputs, found.labels) == (["good", "bad"], ["1", "0"])
    assert read_texts(path, text="t", label=None, header=["l", "t"]).labels is None


def test_a_part_is_held_out_of_every_label():
    labels = ["a"] * 100 + ["b"] * 20 + ["c"] * 3 + ["d"]
    examples = in_memory([str(k) for k in range(124)], labels, numbers=False)
    kept, held = hold_out(examples, 0.1, seed=0)
    assert sorted([*kept.inputs, *held.inputs], key=int) == examples.inputs
    assert [held.labels.count(label) for label in "abcd"] == [10, 2, 1, 0]
    # sorted by label as the file may be, the part is no run of it
    assert held.inputs[:10] != [str(k) for k in range(90, 100)]
    assert hold_out(examples, 0.1, seed=0)[1].inputs == held.inputs
    assert hold_out(examples, 0.1, seed=1)[1].inputs != held.inputs
    with pytest.raises(InputError, match="no label has two"):
        hold_out(in_memory(["x", "y"], ["a", "b"], numbers=False), 0.1, seed=0)
