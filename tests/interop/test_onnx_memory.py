"""ONNX graphs from strangers while they run: how much they may hold, and what is refused."""

import itertools
import subprocess
import sys
import time

import numpy as np
import pytest
from onnx import helper

from interop.small_graphs import (
    FLOAT,
    INT,
    START,
    H,
    body,
    constant,
    floats,
    model,
    node,
    scan,
    whole,
)
from recurra import load
from recurra.errors import FormatError, InputError

WEIGHTS = {"w": np.ones((1, H, 1), np.float32), "r": np.ones((1, H, H), np.float32)}


def chain(op, count, *more, **attributes):
    """Each node reads twice what the one before made."""
    names = ["x", *(f"v{k}" for k in range(count - 1)), "y"]
    return [
        node(op, [a, *(m or a for m in more)], [b], **attributes)
        for a, b in itertools.pairwise(names)
    ]


def _sums(count):
    """Sums of all of one array, each added to the last."""
    nodes = [node("ReduceSum", ["e"], ["r0"], keepdims=0)]
    for k in range(count):
        made = "y" if k == count - 1 else f"r{k + 1}"
        nodes += [
            node("ReduceSum", ["e"], [f"p{k}"], keepdims=0),
            node("Add", [f"p{k}", f"r{k}"], [made]),
        ]
    return nodes


WIDE = whole(1, 1 << 27)
GROW = body(
    [node("Concat", ["h", "h"], ["k"], axis=0), node("Identity", ["a"], ["b"])],
    shapes=(None, None),
)
KEEP = body(
    [node("Identity", ["h"], ["k"]), node("Expand", ["a", "many"], ["b"])], shapes=(None, None)
)

#: Nodes, constants and what x is, of graphs that ask for more than any machine has.
BOMBS = {
    "chain of Concat": (chain("Concat", 50, None, axis=0), [], floats(1)),
    "growing state": ([scan(GROW)], [START], np.ones((60, 1), np.float32)),
    "broadcast": (
        [node("Transpose", ["x"], ["t"]), node("Add", ["x", "t"], ["y"])],
        [],
        np.ones((1, 1 << 17), np.float32),
    ),
    "broadcast of three": (
        [
            node("Unsqueeze", ["x", "axes"], ["t"]),
            node("Greater", ["x", "t"], ["g"]),
            node("Where", ["g", "x", "t"], ["y"]),
        ],
        [constant("axes", whole(1))],
        np.ones(1 << 17, np.float32),
    ),
    "Gather": (
        [node("Cast", ["x"], ["i"], to=INT), node("Gather", ["c", "i"], ["y"])],
        [constant("c", np.ones((1, 1 << 12), np.float32))],
        np.zeros(1 << 20, np.float32),
    ),
    "Expand, then a sum": (
        [
            node("Expand", ["x", "n"], ["e"]),
            node("Add", ["e", "e"], ["f"]),
            node("Concat", ["f"] * 9, ["y"], axis=0),
        ],
        [constant("n", WIDE)],
        floats(1),
    ),
    "outer product": (
        [node("Transpose", ["x"], ["t"]), node("MatMul", ["t", "x"], ["y"])],
        [],
        np.ones((1, 1 << 17), np.float32),
    ),
    "Gemm": (
        [node("Gemm", ["x", "x"], ["y"], transA=1)],
        [],
        np.ones((1, 1 << 17), np.float32),
    ),
    "stacked MatMul": (
        [node("Expand", ["c", "n"], ["e"]), node("MatMul", ["e", "x"], ["y"])],
        [constant("n", whole(1 << 16, 1, 1 << 12)), constant("c", np.ones((1, 1, 1), np.float32))],
        np.ones((1, 1 << 12, 2), np.float32),
    ),
    "OneHot": (
        [node("Cast", ["x"], ["i"], to=INT), node("OneHot", ["i", "n", "v"], ["y"])],
        [constant("n", whole(1 << 60)), constant("v", floats(0, 1))],
        floats(1),
    ),
    "scanned outputs": (
        [scan(KEEP)],
        [START, constant("many", whole(1 << 24))],
        np.ones((64, 1), np.float32),
    ),
    "RNN over steps from nothing": (
        [
            node("Expand", ["x", "n"], ["e"]),
            node("RNN", ["e", "w", "r"], ["y"], hidden_size=H),
        ],
        [*(constant(n, WEIGHTS[n]) for n in "wr"), constant("n", whole(1 << 27, 1, 1))],
        floats(1),
    ),
    "Reshape of a view": (
        [
            node("Expand", ["x", "n"], ["e"]),
            node("Reshape", ["e", "m"], ["f"]),
            node("Concat", ["f"] * 64, ["y"], axis=0),
        ],
        [constant("n", WIDE), constant("m", whole(-1))],
        floats(1),
    ),
    "a list of numbers": (
        [node("Expand", ["x", "n"], ["e"]), node("Clip", ["x", "e"], ["y"])],
        [constant("n", WIDE)],
        floats(1),
    ),
}

#: A Scan inside a Scan, over what a broadcast made.
STEPS = (
    [
        node("Expand", ["x", "n"], ["e"]),
        scan(
            body(
                [
                    scan(
                        body([node("Identity", ["h"], ["k"]), node("Neg", ["a"], ["b"])]),
                        ("h", "a"),
                        ("k", "b"),
                    )
                ]
            ),
            ("s", "e"),
        ),
    ],
    [START, constant("n", whole(1 << 13, 1 << 14))],
    floats(1),
)

PROGRAM = """
import resource, sys, time
import numpy as np
import recurra.errors
model, x = recurra.load(sys.argv[1]), np.load(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    model.run({"x": x})
except recurra.errors.InputError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_few_bytes_do_not_ask_for_all_memory(name, tmp_path):
    nodes, constants, x = BOMBS[name]
    path = tmp_path / "bomb.onnx"
    made = model(nodes, constants, inputs=[("x", FLOAT)])
    path.write_bytes(made.SerializeToString())
    np.save(tmp_path / "x.npy", x)
    words = [sys.executable, "-c", PROGRAM, path, tmp_path / "x.npy"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    grown, _, message = done.stdout.partition(" ")
    assert message.startswith(f"{path}: node "), done.stdout
    assert message.count("\n") == 1
    assert int(grown) < 3 << 20  # KiB


def test_steps_are_counted(tmp_path, monkeypatch):
    nodes, constants, x = STEPS
    path = tmp_path / "bomb.onnx"
    path.write_bytes(model(nodes, constants, inputs=[("x", FLOAT)]).SerializeToString())
    monkeypatch.setenv("RECURRA_LIMIT_SCAN_STEPS", "1000")
    with pytest.raises(InputError, match=r"asks for more than 1,000 steps: .*SCAN_STEPS"):
        load(path).run({"x": x})


STATE = [node("Identity", ["h"], ["k"])]
LONG = [node("Neg", ["a" if k == 0 else f"t{k}"], [f"t{k + 1}"]) for k in range(50)]

#: Small files that would compute for hours, and what they are given.
HOURS = {
    "products": (chain("MatMul", 5000, None), [], np.ones((1024, 1024), np.float32) / 1024),
    "sums of many": (
        [node("Expand", ["x", "n"], ["e"]), *_sums(5000)],
        [constant("n", whole(1 << 13, 1 << 13))],
        floats(1),
    ),
    "steps of many nodes": (
        [
            node("Expand", ["x", "n"], ["e"]),
            scan(body([*STATE, *LONG, node("Identity", ["t50"], ["b"])]), ("s", "e")),
        ],
        [START, constant("n", whole(1 << 22, 1))],
        floats(1),
    ),
}


@pytest.mark.parametrize("name", HOURS)
def test_small_files_do_not_compute_for_ever(name, tmp_path, monkeypatch):
    """A tenth of the work that is allowed, for the test to be short."""
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_WORK", str(1 << 31))
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_WORK_GROWTH", "0")
    nodes, constants, x = HOURS[name]
    path = tmp_path / "long.onnx"
    path.write_bytes(model(nodes, constants, inputs=[("x", FLOAT)]).SerializeToString())
    started = time.process_time()
    with pytest.raises(InputError, match="asks for more than the 2,147,483,648 operations"):
        load(path).run({"x": x})
    assert time.process_time() - started < 20


def test_the_work_grows_with_what_is_given(tmp_path, monkeypatch):
    """Each weight once for each number, and each node once for each step, are always allowed."""
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_WORK", "0")
    path = tmp_path / "m.onnx"
    weights = [constant("w", np.ones((64, 256), np.float32))]
    nodes = [node("MatMul", ["x", "w"], ["v"]), node("Tanh", ["v"], ["y"])]
    path.write_bytes(model(nodes, weights, inputs=[("x", FLOAT)]).SerializeToString())
    assert load(path).run({"x": np.ones((500, 64), np.float32)})["y"].shape == (500, 256)
    inner = body([*STATE, node("Neg", ["a"], ["b"])])
    path.write_bytes(model([scan(inner)], [START], inputs=[("x", FLOAT)]).SerializeToString())
    assert len(load(path).run({"x": np.ones((500, 1), np.float32)})["y"]) == 500
    # Nodes outside a loop run once, however long the input is.
    path.write_bytes(model(chain("MatMul", 50, None), inputs=[("x", FLOAT)]).SerializeToString())
    with pytest.raises(InputError, match=r"node [1-9] \(MatMul\): asks for more than"):
        load(path).run({"x": np.eye(256, dtype=np.float32)})


def test_nodes_are_counted_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_NODES", "100")
    path = tmp_path / "m.onnx"
    path.write_bytes(model(chain("Neg", 101), inputs=[("x", FLOAT)]).SerializeToString())
    with pytest.raises(FormatError, match=r"more nodes and constants than the 100 .*ONNX_NODES"):
        load(path)


def test_what_is_read_no_more_is_freed(tmp_path, monkeypatch):
    """A thousand large values after one another need the room of a few, inside a Scan as well."""
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_MEMORY", str(5 << 20))
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_GROWTH", "1")
    x = np.ones((4, 1 << 18), np.float32)
    path = tmp_path / "m.onnx"
    path.write_bytes(model(chain("Neg", 1000), inputs=[("x", FLOAT)]).SerializeToString())
    assert np.array_equal(load(path).run({"x": x[0]})["y"], x[0])
    negated = [*chain("Neg", 20)[:-1], node("ReduceSum", ["v18"], ["b"], keepdims=0)]
    negated[0].input[0] = "a"
    inner = body([*negated, node("Identity", ["h"], ["k"])])
    path.write_bytes(model([scan(inner)], [START], inputs=[("x", FLOAT)]).SerializeToString())
    assert np.array_equal(load(path).run({"x": x})["y"], floats(*[-(1 << 18)] * 4))


def test_the_room_grows_with_the_inputs_and_is_changed_by_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    nodes = [node("Concat", ["x"] * 8, ["y"], axis=0)]
    path.write_bytes(model(nodes, inputs=[("x", FLOAT)]).SerializeToString())
    given = {"x": np.ones(1 << 16, np.float32)}
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_MEMORY", "1000")
    assert load(path).run(given)["y"].size == 1 << 19
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_GROWTH", "4")
    with pytest.raises(InputError, match=r"node 0 \(Concat\): asks for 2,097,152 bytes, more"):
        load(path).run(given)
    monkeypatch.setenv("RECURRA_LIMIT_ONNX_GROWTH", "much")
    with pytest.raises(InputError, match="RECURRA_LIMIT_ONNX_GROWTH: expected a whole number"):
        load(path).run(given)


def odd(tensor):
    """A constant with other dims than its numbers."""
    made = constant("c", floats())
    made.dims[:] = tensor
    return made


SPARSE = helper.make_sparse_tensor(constant("v", floats(1)), constant("i", whole(0)), [4])

#: Nodes and constants, when the answer comes, and what it says.
REFUSED = {
    "sparse value": ([node("Constant", [], ["y"], sparse_value=SPARSE)], [], "SPARSE_TENSOR"),
    "no value": ([node("Constant", [], ["y"])], [], "expected one value, received none"),
    "two values": (
        [node("Constant", [], ["y"], value_int=1, value_float=2.0)],
        [],
        "expected one value, received",
    ),
    "text": ([node("Constant", [], ["y"], value_string="a")], [], "cannot be computed"),
    "axes that hide": ([node("Identity", ["c"], ["y"])], [odd([0, 1 << 62, 9])], "no array"),
    "many axes": ([node("Identity", ["c"], ["y"])], [odd([1] * 70 + [0])], "no array"),
    "a negative axis": ([node("Identity", ["c"], ["y"])], [odd([-1])], "a whole array"),
    "Split into too few": (
        [node("Split", ["x", "n"], ["a", "b", "y"], axis=0)],
        [constant("n", whole(2, 1))],
        "makes 2 outputs, but 3 are named",
    ),
    "norm of a scalar": (
        [node("LayerNormalization", ["c", "c"], ["y"])],
        [constant("c", np.float32(1))],
        "axis: expected one of 0 axes",
    ),
    "no input": ([node("Equal", ["x", ""], ["y"])], [], "its input 'B' is missing"),
    "empty Split": (
        [node("Split", ["x", "n"], ["y"])],
        [constant("n", whole())],
        "expected parts that make 3",
    ),
    "whole number too wide": (
        [node("Reshape", ["x", "n"], ["y"])],
        [constant("n", whole((1 << 62) + 1, 4))],
        "cannot be computed",
    ),
    "Range without end": (
        [node("Range", ["c", "d", "e"], ["y"])],
        [constant(n, np.float32(v)) for n, v in zip("cde", (0, np.inf, 1), strict=True)],
        "cannot be computed",
    ),
    "Shape in too many axes": (
        [node("ConstantOfShape", ["n"], ["y"])],
        [constant("n", np.zeros(1000, np.int64))],
        "1,000 axes",
    ),
    "Gather of a scalar": (
        [node("Gather", ["c", "n"], ["y"])],
        [constant("c", np.float32(1)), constant("n", whole(0))],
        "cannot be computed",
    ),
    "Concat of scalars": (
        [node("Concat", ["c", "c"], ["y"], axis=0)],
        [constant("c", np.float32(1))],
        "cannot be computed",
    ),
    "MatMul of scalars": (
        [node("MatMul", ["c", "c"], ["y"])],
        [constant("c", np.float32(1))],
        "cannot be computed",
    ),
    "Gemm of vectors": ([node("Gemm", ["x", "x"], ["y"])], [], "cannot be computed"),
    "LSTM of scalars": (
        [node("LSTM", ["c", "c", "c"], ["y"], hidden_size=3)],
        [constant("c", np.float32(1))],
        "expected W",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nodes_that_cannot_be_computed_are_refused_in_a_line(name, tmp_path):
    nodes, constants, message = REFUSED[name]
    path = tmp_path / "m.onnx"
    path.write_bytes(model(nodes, constants, inputs=[("x", FLOAT)]).SerializeToString())
    started = time.monotonic()
    with pytest.raises((FormatError, InputError)) as caught:
        load(path).run({"x": floats(1, 2, 3)})
    assert time.monotonic() - started < 1
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert message in str(caught.value)
