"""RNN, LSTM and GRU nodes with random attributes: against ONNX Runtime, and our two ways to run."""

import collections

import numpy as np
import onnxruntime
import pytest

from interop.nodes import GATES, Case, draw
from recurra.errors import FormatError, InputError
from recurra.export import OnnxModel, from_onnx
from recurra.interop.onnx.recurrence import Recurrence, Spelled
from recurra.runtime.layer import KernelLayer, NumpyLayer

#: 2,000 nodes in all.
PARTS, ROWS = 8, 250
#: Functions without bound make large numbers, whose differences scale with them.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


def prepared(case: Case):
    weights = {n: case.inputs[n] for n in "WRBP" if n in case.inputs}
    return Recurrence.read(case.op, case.attributes).prepare(**weights)


def run(case: Case) -> list[np.ndarray]:
    others = ("sequence_lens", "initial_h", "initial_c")
    return prepared(case).run(case.inputs["X"], *(case.inputs.get(n) for n in others))


def assert_equal(found, expected, text):
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), text
        scale = max(1.0, float(np.abs(other).max(initial=0)))
        limit = ABSOLUTE * scale
        np.testing.assert_allclose(one, other, rtol=RELATIVE, atol=limit, err_msg=text)


@pytest.mark.parametrize("part", range(PARTS))
def test_random_nodes_are_what_onnx_runtime_computes(part):
    random, options = np.random.default_rng((2026, part)), onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    seen: collections.Counter[str] = collections.Counter()
    for row in range(ROWS):
        case = draw(random)
        text = f"row {part}.{row}: {case.op} {case.attributes} {sorted(case.inputs)}"
        session = onnxruntime.InferenceSession(case.model(), options)
        expected = session.run(None, case.inputs)
        with np.errstate(over="ignore"):
            found = run(case)
        assert all(np.isfinite(f).all() for f in found), text
        if not all(np.isfinite(e).all() for e in expected):
            # ONNX Runtime's Softplus overflows beyond 88.
            assert "Softplus" in case.attributes["activations"], text
            seen["overflowed there"] += 1
            continue
        assert_equal(found, expected, text)
        if row % 4 == 0:  # with layout 1, which ONNX Runtime refuses
            Y, *final = run(case.batch_first())
            back = [Y.transpose(1, 2, 0, 3), *(s.swapaxes(0, 1) for s in final)]
            assert_equal(back, found, text)
        seen.update([case.op, case.attributes.get("direction", ""), *case.inputs])
        seen.update(list(case.attributes))
        seen.update(type(layer).__name__ for layer in prepared(case).layers)
    every = {*GATES, "X", "W", "R", "B", "P", "sequence_lens", "initial_h", "initial_c"}
    every |= {"clip", "input_forget", "linear_before_reset", "activations", "activation_alpha"}
    every |= {"activation_beta", "forward", "reverse", "bidirectional", "Spelled"}
    assert {name: seen[name] for name in every if seen[name] < 8} == {}
    assert seen["KernelLayer"] + seen["NumpyLayer"] > 50
    assert seen["overflowed there"] < 5


def test_as_our_cell_and_as_the_standard_spells_it():
    """The fast path and its slow twin, where both compute a node."""
    random, compared = np.random.default_rng(7), 0
    while compared < 200:
        case = draw(random)
        node = prepared(case)
        others = [case.inputs.get(n) for n in ("sequence_lens", "initial_h", "initial_c")]
        rows = [case.inputs.get(n) for n in "WRBP"]
        if not all(isinstance(layer, KernelLayer | NumpyLayer) for layer in node.layers):
            continue
        found = node.run(case.inputs["X"], *others)
        for d in range(len(node.layers)):
            weights = [None if a is None else a[d] for a in rows]
            node.layers[d] = Spelled(node.node, d, *weights)
        assert_equal(found, node.run(case.inputs["X"], *others), str(case.attributes))
        compared += 1


def test_a_node_in_a_file_is_the_node(tmp_path):
    random = np.random.default_rng(5)
    for constants in (False, True):
        for _ in range(40):
            case, path = draw(random), tmp_path / "one.onnx"
            path.write_bytes(case.model(constants=constants))
            assert ("W" in {v.name for v in OnnxModel.load(path).inputs}) != constants
            found = load_and_run(path, case.inputs).values()
            for one, other in zip(found, run(case), strict=True):
                assert np.array_equal(one, other)


def is_a_layer(case: Case) -> bool:
    """Whether a node is what one of our layers computes."""
    names = case.attributes.get("activations", [])
    count = len(names) // (2 if case.attributes.get("direction") == "bidirectional" else 1)
    alike = names[:count] == names[-count:] and (case.op != "LSTM" or names[1:2] == names[2:3])
    plain = {"Tanh", "Sigmoid", "Relu", "Softsign", "Softplus"}
    return alike and set(names) <= plain and not {"clip", "input_forget"} & set(case.attributes)


def test_nodes_become_layers(tmp_path):
    """Outputs are those of the node; what no layer of ours is, is refused, and only that."""
    torch = pytest.importorskip("torch")
    random, made = np.random.default_rng(6), 0
    for _ in range(300):
        case, path = draw(random), tmp_path / "one.onnx"
        path.write_bytes(case.model(constants=True))
        if not is_a_layer(case):
            with pytest.raises(InputError, match=r"recurra\.load runs clip"):
                from_onnx(path)
            continue
        (layer,) = from_onnx(path).values()
        made += 1
        start = [case.inputs.get(n) for n in ("initial_h", "initial_c")[: len(layer.cell.states)]]
        size = (layer.num_directions, case.inputs["X"].shape[1], layer.hidden_size)
        hx = tuple(torch.zeros(size) if s is None else torch.from_numpy(s) for s in start)
        lengths = case.inputs.get("sequence_lens")
        outputs, final = layer(
            torch.from_numpy(case.inputs["X"]),
            hx if len(hx) > 1 else hx[0],
            lengths=None if lengths is None else torch.from_numpy(lengths),
        )
        Y, *ended = run(case)
        flat = Y.transpose(0, 2, 1, 3).reshape(*outputs.shape)
        states = final if isinstance(final, tuple) else (final,)
        found = [outputs, *states]
        text = f"{case.op} {case.attributes}"
        assert_equal([f.detach().numpy() for f in found], [flat, *ended], text)
    assert made > 80


def load_and_run(path, inputs):
    model = OnnxModel.load(path)
    return model.run({v.name: inputs[v.name] for v in model.inputs})


def case_with(op="LSTM", *, attributes=None, inputs=None):
    """A node with defaults everywhere, but for what is given."""
    wide, random = 1, np.random.default_rng(0)
    given = {"X": (3, 2, 4), "W": (wide, GATES[op] * 5, 4), "R": (wide, GATES[op] * 5, 5)}
    arrays = {n: random.normal(size=s).astype(np.float32) for n, s in given.items()}
    return Case(op, {"hidden_size": 5} | (attributes or {}), arrays | (inputs or {}))


FLOATS = {
    "R": (
        np.zeros((1, 20, 4), np.float32),
        r"expected R of float32 \(1, 20, 5\), received .*20, 4",
    ),
    "W": (
        np.zeros((2, 20, 4), np.float32),
        r"expected W of float32 \(1, 20, 4\), received .*2, 20",
    ),
    "B": (np.zeros((1, 20), np.float32), r"expected B of float32 \(1, 40\), received .*\(1, 20\)"),
    "P": (np.zeros((1, 20), np.float32), r"expected P of float32 \(1, 15\), received"),
    "initial_h": (np.zeros((1, 3, 5), np.float32), r"expected initial_h of float32 \(1, 2, 5\)"),
    "initial_c": (np.zeros((1, 2, 5)), r"initial_c of float32 .*received float64"),
    "sequence_lens": (np.array([1, 4], np.int32), "2 whole numbers from 0 to 3"),
}


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("constants", [False, True])
def test_shapes_that_do_not_fit(name, constants, tmp_path):
    array, message = FLOATS[name]
    path = tmp_path / "one.onnx"
    case = case_with(inputs={name: array})
    path.write_bytes(case.model(constants=constants))
    with pytest.raises((InputError, FormatError), match=message) as caught:
        load_and_run(path, case.inputs)
    assert str(caught.value).startswith(f"{path}: node 0 (LSTM): expected ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"direction": "sideways"}, "direction: expected one of forward, reverse, bidirectional"),
        ({"activations": ["Tanh"]}, r"expected 3 for each of 1 direction\(s\), received 1"),
        ({"activations": ["Tanh", "Tanh", "Tan"]}, "expected functions of relu, .* received 'Tan'"),
        ({"activations": ["Affine", "Tanh", "Tanh"]}, "Affine needs its activation_alpha and"),
        ({"clip": 0.0}, "clip: expected a number above 0, received 0"),
        ({"clip": -1.0}, "clip: expected a number above 0, received -1"),
        ({"input_forget": 2}, "input_forget: expected 0 or 1, received 2"),
        ({"layout": 7}, "layout: expected 0 or 1, received 7"),
        ({"hidden_size": 0}, "hidden_size: expected a number from 1 on, received 0"),
        ({"hidden_size": 4}, r"expected W of float32 \(1, 16, 4\), received float32 \(1, 20, 4\)"),
    ],
)
def test_attributes_that_cannot_be(attributes, message, tmp_path):
    path = tmp_path / "one.onnx"
    path.write_bytes(case_with(attributes=attributes).model(constants=True))
    for load in (OnnxModel.load, from_onnx):
        with pytest.raises((InputError, FormatError), match=message):
            load(path)


def test_a_row_without_steps_ends_where_it_starts():
    random = np.random.default_rng(3)
    for op in GATES:
        start = {"initial_h": random.normal(size=(1, 2, 5)).astype(np.float32)}
        case = case_with(op, inputs={**start, "sequence_lens": np.array([0, 2], np.int32)})
        Y, Y_h, *_ = run(case)
        assert np.array_equal(Y_h[:, 0], start["initial_h"][:, 0])
        assert not Y[:, :, 0].any()
        assert not Y[2, :, 1].any()


def test_what_stands_in_the_padding_gets_nowhere():
    """Not in a cell of ours, and not where the standard is spelled out."""
    for attributes in ({}, {"clip": 1.0}):
        case = case_with(attributes=attributes)
        case.inputs["sequence_lens"] = np.array([1, 3], np.int32)
        expected = run(case)
        case.inputs["X"][1:, 0] = np.nan
        for one, other in zip(run(case), expected, strict=True):
            assert np.array_equal(one, other)
