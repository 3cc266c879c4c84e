"""Sizes that no kernel has: one line where they enter, and again at the kernels' own door."""

import numpy as np
import pytest

from recurra import native
from recurra.cells import definition
from recurra.errors import InputError
from recurra.native import library
from recurra.runtime.layer import KernelLayer, NumpyLayer, on_kernels

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

CELLS = ("rnn", "gru", "lstm")


def weights(cell, inputs, hidden):
    program = definition.find(cell).program()
    draw, sizes = np.random.default_rng(0), {"gates": len(program.gates)}
    return program, {
        p.name: draw.normal(size=p.shape(**sizes, inputs=inputs, hidden=hidden)).astype("f")
        for p in program.parameters
    }


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("inputs", "hidden"), [(0, 4), (4, 0), (0, 0)])
@pytest.mark.parametrize(
    "enter",
    [
        lambda program, given: KernelLayer(program, given, ()),
        lambda program, given: native.Packed(program, list(given.values())),
        lambda program, given: native.Stepper(program, list(given.values())),
        lambda program, given: native.forward(
            native.Inputs(
                program,
                np.zeros((2, 1, next(iter(given.values())).shape[1]), "f"),
                list(given.values()),
                [None] * len(program.states),
            ),
            np.zeros((2, 1, 4), "f"),
            [None] * len(program.states),
        ),
    ],
)
def test_layers_without_inputs_or_units(cell, inputs, hidden, enter):
    program, given = weights(cell, inputs, hidden)
    with pytest.raises(InputError, match="weight_ih: expected at least") as caught:
        enter(program, given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cell", CELLS)
def test_without_inputs_the_reference_computes(cell):
    """Mathematically there is nothing wrong with it: what is left is the recurrent part."""
    program, given = weights(cell, 0, 4)
    assert not on_kernels(program, given)
    states = (np.ones((2, 4), "f"),) * len(program.states)
    y, _ = NumpyLayer(program, given, ()).run(np.zeros((5, 2, 0), "f"), states, None)
    _, wide = weights(cell, 1, 4)
    wide = {**given, "weight_ih": np.zeros_like(wide["weight_ih"])}
    assert on_kernels(program, wide)
    expected, _ = KernelLayer(program, wide, ()).run(np.zeros((5, 2, 1), "f"), states, None)
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [1, 1, 1, 1],
        [1, 1, 0, 4, 0],
        [1, 1, 4, 0, 0],
        [-1, 1, 4, 4, 0],
        [1, -1, 4, 4, 0],
        [1, 1, -4, 4, 0],
        [1, 1, 4, -4, 0],
        [1, 1, 4, 4, -1],
        [1, 1, 4, 4, 0, -1],
        [2**62, 2**62, 4, 4, 0],
        [2**40, 1, 4, 4, 0],
        [2**20, 2**20, 4, 4, 0],
        [1, 1, 2**62, 4, 0],
        [1, 1, 4, 2**62, 0],
        [1, 1, 2**31, 2**31, 0],
        [1, 1, 4, 4, 0, 2**62],
    ],
)
def test_the_library_checks_sizes(sizes):
    lstm = native.find(definition.find("lstm").program())
    run = library.compiled()
    no_addresses = [0] * 24
    for make in (
        lambda: run.Sized32(lstm, sizes, [], False, False, [], False, []),
        lambda: run.Packed32(lstm, sizes, 1, no_addresses, False, (0, 0, 0)),
        lambda: run.Stepper32(lstm, sizes, 1, no_addresses, [4, 4], False),
    ):
        with pytest.raises((ValueError, IndexError, MemoryError)):
            make()


def test_the_library_checks_addresses():
    lstm = native.find(definition.find("lstm").program())
    run = library.compiled()
    with pytest.raises(ValueError, match="without the weights"):
        run.Packed32(lstm, [0, 1, 4, 4, 0], 1, [0] * 4, False, (0, 0, 0))
    sized = run.Sized32(lstm, [1, 1, 4, 4, 0], [], False, False, [], False, [])
    x, w = np.zeros((1, 1, 4), "f"), np.zeros((16, 4), "f")
    nothing = (None, None, [], None)
    with pytest.raises(ValueError, match="without the weights"):
        sized.forward(x, [None, None], [], x, [], None, *nothing, 1, None)
    for arrays in ((None, [w, w], [], x), (x, [w, w], [], None)):
        with pytest.raises(TypeError):
            sized.forward(*arrays, [], None, *nothing, 1, None)


@pytest.mark.parametrize(("features", "tokens"), [(0, 4), (4, 0), (0, 0)])
def test_an_output_layer_of_nothing(features, tokens):
    given = native.LossInputs(
        np.zeros((3, features), "f"), np.zeros((tokens, features), "f"), None, np.zeros(3, np.int64)
    )
    with pytest.raises(InputError, match="weight: expected"):
        native.loss_forward(given, np.zeros(3, "f"), np.zeros((3, 2), "f"))
    with pytest.raises(ValueError, match="no output layer"):
        library.compiled().loss_forward32([3, features, tokens, features], 1, False, [0] * 5, 0, 0)


def test_memory_that_no_machine_has():
    with pytest.raises(MemoryError):
        native.empty(2**40, 2**40)
    with pytest.raises(MemoryError):
        native.empty(2**45)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_an_onnx_file_without_inputs(kind, tmp_path):
    """As one whose inputs are all zero."""
    onnx = pytest.importorskip("onnx")
    import recurra

    hidden, gates = 3, {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    draw = np.random.default_rng(0)
    recurrent = draw.normal(size=(1, gates * hidden, hidden)).astype("f")
    bias = draw.normal(size=(1, 2 * gates * hidden)).astype("f")
    found = []
    for inputs in (0, 1):
        arrays = {"W": np.zeros((1, gates * hidden, inputs), "f"), "R": recurrent, "B": bias}
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(kind, ["x", *arrays], ["y"], hidden_size=hidden)],
            "layer",
            [value("x", 1, (5, 2, inputs))],
            [value("y", 1, (5, 1, 2, hidden))],
            [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10
        )
        path = tmp_path / f"{inputs}.onnx"
        path.write_bytes(model.SerializeToString())
        found.append(recurra.load(path).run({"x": np.zeros((5, 2, inputs), "f")})["y"])
    np.testing.assert_allclose(*found, atol=1e-6)
