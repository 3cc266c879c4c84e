"""ONNX files from strangers: what is wrong with one is told in a line, and nothing is followed."""

import os
import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from recurra import load
from recurra.errors import FormatError, InputError, RecurraError
from recurra.export import OnnxModel, from_onnx
from recurra.export import onnx as write
from recurra.nn import GRU

FLOAT = TensorProto.FLOAT


def value(name, shape=(2, 3), kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes=None, *, inputs=None, outputs=None, constants=(), opset=17, **changes):
    nodes = nodes or [helper.make_node("Add", ["x", "c"], ["y"], name="sum")]
    graph = helper.make_graph(
        nodes,
        "g",
        inputs or [value("x")],
        outputs or [value("y")],
        constants or [onnx.numpy_helper.from_array(np.ones((2, 3), np.float32), "c")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    for name, new in changes.items():
        setattr(made, name, new)
    return made


@pytest.fixture
def refused(tmp_path):
    """Load a model that must be refused; return the one line after its path."""

    def check(made, *, kind=FormatError):
        path = tmp_path / "bad.onnx"
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        with pytest.raises(kind) as caught:
            load(path)
        text = str(caught.value)
        assert text.startswith(f"{path}: "), text
        assert "\n" not in text
        return text.removeprefix(f"{path}: ")

    return check


def test_the_plain_one_is_fine(tmp_path):
    path = tmp_path / "good.onnx"
    path.write_bytes(model().SerializeToString())
    x = np.zeros((2, 3), np.float32)
    assert np.array_equal(load(path).run({"x": x})["y"], x + 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no ONNX model, or a damaged one"),
        (b"hello, world", "no ONNX model, or a damaged one"),
        (b"\x80\x04\x95abc", "it looks like a Python pickle"),
        (b"PK\x03\x04abc", "it looks like a zip archive"),
        (b"\x08\x08\x12\x07", "no ONNX model, or a damaged one"),
    ],
)
def test_what_is_no_onnx_model(data, message, refused):
    assert message in refused(data)


def test_no_file_and_no_file_of_this_kind(tmp_path):
    with pytest.raises(InputError, match=r"none.onnx: no such file"):
        load(tmp_path / "none.onnx")
    (tmp_path / "model").write_bytes(model().SerializeToString())
    with pytest.raises(InputError, match="it looks like an ONNX model"):
        load(tmp_path / "model")
    (tmp_path / "pipe.onnx").mkdir()
    with pytest.raises(InputError, match="expected a model or a run"):
        load(tmp_path / "pipe.onnx")


def node(op, inputs=("x",), outputs=("y",), **attributes):
    return helper.make_node(op, list(inputs), list(outputs), name="it", **attributes)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Conv", ["x", "c"])], "node it (Conv): the operator Conv is not known here; known"),
        ([node("Add", ["x", "c"], domain="evil")], "the operator evil.Add is not known here"),
        ([node("Add", ["x"])], "node it (Add): expected 2 inputs, found 1"),
        ([node("Add", ["x", "c", "c"])], "node it (Add): expected 2 inputs, found 3"),
        ([node("Relu", ["z"])], "node it (Relu): reads 'z', which nothing before it makes"),
        ([node("Relu", ["x"], ["c"]), node("Relu")], "makes a value whose name is taken: ['c']"),
        ([node("Relu", ["x"], ["q"])], "the output 'y' is made by no node"),
        ([node("Relu", alpha=1.0)], "node it (Relu): unknown attribute 'alpha' (it has none)"),
        ([node("Gather", ["x", "c"], axis=1.5)], "axis: expected INT, found a value of type FLOAT"),
        ([node("Concat", ["x", "c"])], "node it (Concat): the attribute 'axis' is missing"),
        (
            [node("LSTM", ["x", "c", "c"], hidden_sise=3)],
            "unknown attribute 'hidden_sise' (it has activation_alpha, activation_beta,",
        ),
        ([node("Dropout", ["x"], ["y", "mask"])], "its output 'mask' is not computed here"),
    ],
)
def test_nodes_that_cannot_be(nodes, message, refused):
    assert message in refused(model(nodes))


def test_graphs_that_cannot_be(refused):
    two = [value("x"), value("x")]
    assert "two values, or a constant and an input, of one name" in refused(model(inputs=two))
    assert "versions" not in refused(model(opset=3))
    assert "expected operators of one version from 7 to" in refused(model(opset=3))
    assert "expected operators of one version from 7 to" in refused(model(opset=999))
    text = [value("x", kind=TensorProto.STRING)]
    assert "'x': expected numbers of float16, " in refused(model(inputs=text))
    sparse = model()
    sparse.graph.sparse_initializer.add()
    assert "sparse constants" in refused(sparse)
    sequence = helper.make_tensor_sequence_value_info("x", FLOAT, (2, 3))
    assert "'x' is no array, but sequence_type" in refused(model(inputs=[sequence]))


def nested(depth):
    body = helper.make_graph([node("Identity", ["a"], ["b"])], "b", [value("a")], [value("b")])
    for _ in range(depth):
        scan = node("Scan", ["a"], ["b"], body=body, num_scan_inputs=1)
        body = helper.make_graph([scan], "b", [value("a")], [value("b")])
    return [node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)]


def test_graphs_inside_graphs(refused, tmp_path):
    assert "graphs inside graphs, more than 8 deep" in refused(model(nested(20)))
    x, path = np.arange(6, dtype=np.float32).reshape(2, 3), tmp_path / "rows.onnx"
    path.write_bytes(model(nested(1)).SerializeToString())  # rows, and in each the numbers
    assert np.array_equal(load(path).run({"x": x})["y"], x)


def constant(**fields):
    tensor = TensorProto(name="c", data_type=FLOAT, dims=[2, 3])
    for name, given in fields.items():
        if isinstance(given, list):
            del getattr(tensor, name)[:]
            getattr(tensor, name).extend(given)
        else:
            setattr(tensor, name, given)
    return model(constants=[tensor])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"raw_data": b"1234"}, "constant 'c': expected 24 bytes for float32 (2, 3), found 4"),
        ({"raw_data": b"0" * 25}, "expected 24 bytes for float32 (2, 3), found 25"),
        ({"dims": [1 << 40, 1 << 20], "raw_data": b"1234"}, "expected 4,611,686,018,427,387,904 b"),
        ({"dims": [-2, -3], "raw_data": b"0" * 24}, "expected a whole array, found the shape"),
        ({"float_data": [1.0, 2.0]}, "its numbers do not make float32 (2, 3)"),
        ({"data_type": 99, "raw_data": b"0" * 24}, "found type 99"),
        ({"data_type": TensorProto.STRING, "string_data": [b"a"] * 6}, "found object"),
        ({"data_type": TensorProto.COMPLEX64, "raw_data": b"0" * 48}, "found complex64"),
    ],
)
def test_constants_that_cannot_be(fields, message, refused):
    assert message in refused(constant(**fields))


def external(**entries):
    tensor = TensorProto(name="c", data_type=FLOAT, dims=[2, 3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, given in entries.items():
        tensor.external_data.add(key=key, value=given)
    return model(constants=[tensor])


def test_external_weights_in_the_models_own_folder(tmp_path):
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(b"pad!" + numbers.tobytes())
    made = external(location="sub/w.bin", offset="4", length="24")
    (tmp_path / "good.onnx").write_bytes(made.SerializeToString())
    found = load(tmp_path / "good.onnx").run({"x": np.zeros((2, 3), np.float32)})
    assert np.array_equal(found["y"], numbers)


def test_external_weights_elsewhere_are_not_followed(tmp_path, refused):
    outside = tmp_path.parent / f"{tmp_path.name}-secret.bin"
    outside.write_bytes(b"0" * 24)
    for location in (f"../{outside.name}", str(outside), f"sub/../../{outside.name}", "/dev/zero"):
        text = refused(external(location=location))
        assert "outside the model's folder: such files are not followed" in text, location
    os.symlink(outside, tmp_path / "link.bin")
    assert "outside the model's folder" in refused(external(location="link.bin"))
    os.link(outside, tmp_path / "hard.bin")
    assert "no regular file with one name" in refused(external(location="hard.bin"))
    os.mkfifo(tmp_path / "pipe.bin")
    assert "no regular file with one name" in refused(external(location="pipe.bin"))
    (tmp_path / "folder").mkdir()
    assert "cannot be read" in refused(external(location="folder"))
    assert "cannot be read" in refused(external(location="none.bin"))
    for location in (".", "", "a\0b", "x" * 5000):
        assert refused(external(location=location))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "w.bin"}, "expected 24 bytes in 'w.bin', found 23"),
        ({"location": "w.bin", "offset": "9999999999"}, "expected 10,000,000,023 bytes"),
        ({"location": "w.bin", "offset": "-4"}, "expected a location, an offset and a length"),
        ({"location": "w.bin", "length": "8"}, "a length of 24 bytes, received"),
        ({"location": "w.bin", "offset": "four"}, "expected a location, an offset and a length"),
        ({"offset": "0"}, "expected a location"),
    ],
)
def test_external_weights_that_are_not_there(entries, message, refused, tmp_path):
    (tmp_path / "w.bin").write_bytes(b"0" * 23)
    assert message in refused(external(**entries))


def run(tmp_path, nodes, inputs, constants=()):
    path = tmp_path / "run.onnx"
    kinds = [value(n, a.shape, helper.np_dtype_to_tensor_dtype(a.dtype)) for n, a in inputs.items()]
    path.write_bytes(model(nodes, inputs=kinds, constants=constants).SerializeToString())
    return OnnxModel.load(path).run(inputs)


@pytest.mark.parametrize(
    ("made", "inputs", "message"),
    [
        (node("ConstantOfShape"), {"x": [1 << 40]}, "asks for an array of shape"),
        (node("ConstantOfShape"), {"x": [-1]}, "asks for an array of shape"),
        (node("Expand", ["c", "x"]), {"x": [1 << 30, 2, 3]}, "asks for an array of shape"),
        (node("Range", ["a", "b", "x"]), {"x": 0, "a": 0, "b": 9}, "a step other than 0"),
        (node("Range", ["a", "b", "x"]), {"x": 1, "a": 0, "b": 1 << 50}, "asks for an array"),
        (node("OneHot", ["a", "x", "v"]), {"a": [1], "x": 1 << 50, "v": [0, 1]}, "asks for "),
        (node("Gather", ["c", "x"]), {"x": [7]}, r"indices from -2 to 1, received 7 to 7"),
        (node("Reshape", ["c", "x"]), {"x": [7, 7]}, r"on arrays of shapes \(2, 3\), \(2,\)"),
        (node("Add", ["c", "x"]), {"x": [1, 2, 3, 4]}, r"shapes \(2, 3\), \(4,\)"),
        (node("Split", ["c", "x"], ["y"]), {"x": [7]}, "expected parts that make 2, received"),
        (node("Div", ["a", "x"]), {"a": [1], "x": [0]}, "a whole number divided by 0"),
        (node("Cast", ["c"], to=TensorProto.STRING), {"x": [1]}, "received type 8"),
        (node("Squeeze", ["c", "x"]), {"x": [0]}, "cannot be computed on arrays of shapes"),
    ],
)
def test_what_cannot_be_computed(made, inputs, message, tmp_path):
    arrays = {n: np.array(given, np.int64) for n, given in inputs.items()}
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path, [made], arrays)
    assert f"node it ({made.op_type}): " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_inputs_that_are_not_those_declared(tmp_path):
    path = tmp_path / "gru.onnx"
    write(GRU(3, 2, batch_first=True), path)
    loaded = load(path)
    assert repr(loaded) == (
        "<OnnxModel: input: float32 (batch, time, 3) -> "
        "output: float32 (batch, time, 2), h_n: float32 (1, batch, 2)>"
    )
    right = np.zeros((2, 5, 3), np.float32)
    assert loaded.run({"input": right})["output"].shape == (2, 5, 2)
    for given, message in (
        ({}, r"expected the inputs input: float32 \(batch, time, 3\), received none"),
        ({"input": right, "more": right}, "received 'input', 'more'"),
        ({"input": right[0]}, r"expected input: float32 \(batch, time, 3\), received .*\(5, 3\)"),
        ({"input": right[..., :2]}, r"received float32 \(2, 5, 2\)"),
        ({"input": right.astype(np.float64)}, r"received float64 \(2, 5, 3\)"),
    ):
        with pytest.raises(InputError, match=message):
            loaded.run(given)


def test_layers_of_a_file_with_other_things_in_it(tmp_path):
    """from_onnx looks for recurrent nodes alone."""
    path = tmp_path / "gru.onnx"
    write(GRU(3, 2), path)
    made = onnx.load(path)
    made.graph.node.insert(0, helper.make_node("Sin", ["input"], ["unused"]))
    made.graph.node.insert(0, helper.make_node("Own", ["input"], ["also"], domain="other"))
    made.graph.node.insert(0, helper.make_node("Own", ["input"], ["too"], domain="other", a=1))
    path.write_bytes(made.SerializeToString())
    assert [type(layer) for layer in from_onnx(path).values()] == [GRU]
    with pytest.raises(FormatError, match=r"the operator other\.Own is not known here"):
        load(path)


def test_weights_that_are_computed(tmp_path):
    """They run; a layer cannot be made of what is not there."""
    path = tmp_path / "gru.onnx"
    write(GRU(3, 2, bias=False), path)
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    expected = load(path).run({"input": x})["output"]
    made = onnx.load(path)
    gru = next(n for n in made.graph.node if n.op_type == "GRU")
    made.graph.node.insert(0, helper.make_node("Neg", [gru.input[1]], ["minus"]))
    made.graph.node.insert(1, helper.make_node("Neg", ["minus"], ["computed"]))
    gru.input[1] = "computed"
    path.write_bytes(made.SerializeToString())
    assert np.array_equal(load(path).run({"input": x})["output"], expected)
    with pytest.raises(FormatError, match="its weights 'computed' are no constants of the file"):
        from_onnx(path)


def test_damaged_bytes_never_do_more_than_an_error(tmp_path):
    """Cut, and with bytes changed: loads, or one of our errors."""
    path = tmp_path / "gru.onnx"
    write(GRU(3, 2, 2, bidirectional=True), path, lengths=True)
    whole, seen = path.read_bytes(), random.Random(4)
    outcomes = set()
    x, lengths = np.zeros((4, 2, 3), np.float32), np.array([4, 2])
    for _ in range(400):
        data = bytearray(whole)
        if seen.random() < 0.3:
            del data[seen.randrange(len(data)) :]
        for _ in range(seen.randrange(4)):
            if data:
                data[seen.randrange(len(data))] = seen.randrange(256)
        path.write_bytes(data)
        try:
            load(path).run({"input": x, "lengths": lengths})
            outcomes.add("ran")
        except RecurraError as error:
            outcomes.add("two lines" if "\n" in str(error) else "refused")
    assert outcomes == {"ran", "refused"}
