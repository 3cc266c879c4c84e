"""A Scan that is a cell runs on kernels; what is nearly one, node by node, with its result."""

import json

import numpy as np
import onnx
import pytest
import torch

from native.own import MINIMAL_GATED, WORDS
from recurra import native
from recurra.errors import RecurraError
from recurra.export import OnnxModel
from recurra.export import onnx as write
from recurra.nn import GRU, LSTM, RNN, Recurrent

T, B, I, H = 7, 3, 4, 6

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

LAYERS = {
    "own": (lambda **more: Recurrent(MINIMAL_GATED, I, H, **more), 1),
    "own, norm": (lambda **more: Recurrent(MINIMAL_GATED, I, H, layer_norm=True, **more), 1),
    "own, words": (lambda **more: Recurrent(WORDS, I, H, **more), 1),
    "no bias": (lambda **more: Recurrent(MINIMAL_GATED, I, H, bias=False, **more), 1),
    "two layers, zoneout": (
        lambda **more: Recurrent(WORDS, I, H, num_layers=2, zoneout=(0.2, 0.4), **more).eval(),
        2,
    ),
    "both directions": (
        lambda **more: Recurrent(MINIMAL_GATED, I, H, bidirectional=True, **more),
        2,
    ),
    "reverse, learnt": (
        lambda **more: Recurrent(WORDS, I, H, reverse=True, learn_initial_state=True, **more),
        1,
    ),
    "batch first": (lambda **more: Recurrent(MINIMAL_GATED, I, H, batch_first=True, **more), 1),
    "lstm, all": (
        lambda **more: LSTM(I, H, layer_norm=True, peephole=True, proj_size=3, **more),
        1,
    ),
    "gru, zoneout": (lambda **more: GRU(I, H, zoneout=0.3, reset="before", **more).eval(), 1),
    "rnn, relu": (lambda **more: RNN(I, H, nonlinearity="relu", zoneout=0.1, **more).eval(), 1),
}


def drawn(make):
    torch.manual_seed(5)
    layer = make()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            low = 0.5 if "learnt" in name else -0.8  # which equations divide by
            parameter.uniform_(low, 0.8)
    return layer


def inputs_of(layer, *, lengths=False, states=False, reset=False):
    draw = np.random.default_rng(2)
    turn = (lambda a: a.swapaxes(0, 1)) if layer.batch_first else (lambda a: a)
    given = {"input": turn(draw.normal(size=(T, B, I)).astype(np.float32)).copy()}
    if lengths:
        given["lengths"] = np.array([7, 0, 4])
    if reset:
        given["reset"] = turn(draw.random((T, B)) < 0.3).copy()
    rows = layer.num_layers * layer.num_directions
    for name, size in zip(layer.cell.states, layer.state_sizes, strict=True) if states else ():
        given[f"{name}_0"] = draw.normal(size=(rows, B, size)).astype(np.float32) / 2
    return given


def node_by_node(path):
    model = OnnxModel.load(path)
    model._scanned, model._replaced = {}, set()
    return model


def assert_alike(path, given):
    """What a file gives, or says, with kernels and without."""
    results = []
    for model in (OnnxModel.load(path), node_by_node(path)):
        try:
            results.append(model.run(given))
        except RecurraError as error:
            results.append(type(error))
    found, expected = results
    if not isinstance(expected, dict) or not isinstance(found, dict):
        assert found == expected
        return
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("asked", ["", "lengths", "states", "reset", "lengths states reset"])
@pytest.mark.parametrize(("make", "scans"), LAYERS.values(), ids=LAYERS.keys())
def test_runs_on_kernels_with_the_same_result(make, scans, asked, tmp_path):
    path, more = tmp_path / "layer.onnx", dict.fromkeys(asked.split(), True)
    layer = drawn(make)
    write(layer, path, **more)
    model, given = OnnxModel.load(path), inputs_of(layer, **more)
    assert len(model._scanned) == scans
    assert model._replaced
    assert_alike(path, given)
    named = {"lengths": "lengths", "reset": "reset"}
    hx = tuple(torch.from_numpy(v) for n, v in given.items() if n.endswith("_0"))
    known = {k: torch.from_numpy(given[v]) for k, v in named.items() if v in given}
    with torch.no_grad():
        expected = layer(
            torch.from_numpy(given["input"]),
            (hx if len(hx) > 1 else hx[0]) if hx else None,
            **known,
        )[0]
    np.testing.assert_allclose(model.run(given)["output"], expected.numpy(), rtol=1e-4, atol=2e-5)


def test_float64_and_metadata_that_is_missing_run_node_by_node(tmp_path):
    layer = drawn(LAYERS["own"][0])
    write(layer.double(), tmp_path / "double.onnx")
    assert not OnnxModel.load(tmp_path / "double.onnx")._scanned
    write(layer.float(), tmp_path / "layer.onnx")
    model = onnx.load(tmp_path / "layer.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "layer.onnx")
    assert not OnnxModel.load(tmp_path / "layer.onnx")._scanned
    assert_alike(tmp_path / "layer.onnx", inputs_of(layer))


def cell_of(layer, path):
    """What the metadata of a layer's file says of its cell."""
    write(layer, path)
    props = onnx.load(path).metadata_props
    return next(p.value for p in props if p.key == "recurra.cell")


@pytest.mark.parametrize("kind", ["other equations", "other option", "no JSON", "deep", "long"])
def test_metadata_is_not_believed(kind, tmp_path):
    layer, path = drawn(LAYERS["own"][0]), tmp_path / "layer.onnx"
    text = cell_of(layer, path)
    other = cell_of(drawn(LAYERS["own, norm"][0]), tmp_path / "other.onnx")
    texts = {
        "other equations": text.replace('"sigmoid"', '"tanh"').replace('"sub"', '"add"'),
        "other option": other,
        "no JSON": text[:-5],
        "deep": "[" * 100_000,
        "long": text + " " * (1 << 19),
    }
    assert texts[kind] != text
    json.loads(text)
    model = onnx.load(path)
    next(p for p in model.metadata_props if p.key == "recurra.cell").value = texts[kind]
    onnx.save(model, path)
    loaded = OnnxModel.load(path)
    assert not loaded._scanned
    assert_alike(path, inputs_of(layer))


#: Operators that take what others of the group take.
LIKE = (("Add", "Sub", "Mul", "Div"), ("Sigmoid", "Tanh", "Relu", "Identity"), ("Max", "Min"))


def changes(model):
    """All changes of one place: a node's operator, its inputs, an attribute, a constant."""
    scan = next(n for n in model.graph.node if n.op_type == "Scan")
    body = next(a for a in scan.attribute if a.name == "body").g
    for group in (model.graph.node, body.node):
        for node in group:
            like = next((names for names in LIKE if node.op_type in names), ())
            for other in [o for o in like if o != node.op_type]:
                yield f"{node.name}: {other}", lambda n=node, o=other: setattr(n, "op_type", o)
            if node.op_type in ("Add", "Sub", "Mul", "Div", "Where") and len(node.input) > 1:
                yield f"{node.name}: turned", lambda n=node: turn(n.input)
            if node.op_type == "ReduceMean":
                yield f"{node.name}: axis", lambda n=node: n.attribute[0].ints.__setitem__(0, 0)
    turned = [a for a in scan.attribute if a.name.endswith("directions")]
    yield "both directions", lambda: [a.ints.__setitem__(0, 1) for a in turned]
    yield "one direction", lambda: turned[0].ints.__setitem__(0, 1)
    yield "outputs", lambda: turn(body.output)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size:
            yield f"{tensor.name}: a number", lambda t=tensor: nudge(t)
            if array.ndim == 0:
                given = onnx.helper.make_tensor_value_info(tensor.name, 1, [])
                yield f"{tensor.name}: an input", lambda g=given: model.graph.input.append(g)


def turn(items):
    last = [type(i)() if hasattr(i, "CopyFrom") else i for i in items]
    for copy, item in zip(last, items, strict=True):
        if hasattr(copy, "CopyFrom"):
            copy.CopyFrom(item)
    del items[:]
    items.extend(reversed(last))


def nudge(tensor):
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.flat[0] += 0.75
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


@pytest.mark.parametrize("name", ["own, norm", "gru, zoneout"])
def test_every_change_of_a_file_has_the_result_of_its_nodes(name, tmp_path):
    layer, path = drawn(LAYERS[name][0]), tmp_path / "layer.onnx"
    more = {"lengths": True, "reset": True}
    write(layer, path, **more)
    data, given = path.read_bytes(), inputs_of(layer, **more)
    given = {n: a if n == "lengths" else a[:4] for n, a in given.items()}
    given["lengths"] = np.array([4, 0, 3])
    count = len(list(changes(onnx.load_from_string(data))))
    assert count > 40
    recognised = 0
    for k in range(count):
        model = onnx.load_from_string(data)
        text, change = list(changes(model))[k]
        change()
        path.write_bytes(model.SerializeToString())
        extra = {text.partition(":")[0]: np.float32(0.3)} if text.endswith("an input") else {}
        try:
            recognised += bool(OnnxModel.load(path)._scanned)
        except RecurraError:
            continue  # refused, as it was before
        assert_alike(path, given | extra)
    assert 0 < recognised < count  # a weight may be any number


def test_inputs_that_no_cell_has(tmp_path):
    """They go node by node: the same result, or the same kind of error."""
    layer, path = drawn(LAYERS["own"][0]), tmp_path / "layer.onnx"
    write(layer, path, states=True)
    given = inputs_of(layer, states=True)
    model = onnx.load(path)
    for value in model.graph.input:  # of any shape
        value.type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    assert OnnxModel.load(path)._scanned
    for name, array in (
        ("input", given["input"][:, :1]),
        ("input", given["input"][:0]),
        ("input", given["input"][..., :2]),
        ("h_0", given["h_0"][:, :1]),
        ("h_0", given["h_0"][..., :1]),
    ):
        assert_alike(path, given | {name: array})
