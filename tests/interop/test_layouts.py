"""The one table of weight layouts: there and back to the bit, and by hand."""

import numpy as np
import pytest
from torch import nn

from recurra.cells import gru, lstm, rnn
from recurra.errors import InputError
from recurra.interop.layouts import LAYOUTS, from_ours, layout, shapes, to_ours

I, H = 3, 2
PROGRAMS = [
    rnn.program(),
    lstm.program(),
    lstm.program(peephole=True),
    gru.program(reset="after"),
    gru.program(reset="before"),
    *(cell.program(bias=False) for cell in (rnn, lstm, gru)),
]
LIBRARIES = ("torch", "keras", "onnx")


def weights(program, seed=0):
    random = np.random.default_rng(seed)
    sizes = {"gates": len(program.gates), "inputs": I, "hidden": H}
    drawn = {p.name: random.normal(size=p.shape(**sizes)) for p in program.parameters}
    return {n: a.astype(np.float32) for n, a in drawn.items()}


PAIRS = [
    (library, program)
    for library in LIBRARIES
    for program in PROGRAMS
    if not program.option("peephole") or library == "onnx"
]


@pytest.mark.parametrize(("library", "program"), PAIRS, ids=str)
def test_theirs_to_ours_and_back_to_the_bit(library, program):
    random = np.random.default_rng(1)
    theirs = [random.normal(size=s).astype(np.float32) for s in shapes(library, program, (I, H))]
    theirs[0].flat[0] = -0.0
    if program.option("bias"):
        theirs[2].flat[0] = -0.0
    ours = to_ours(library, program, theirs)
    assert {n: a.shape for n, a in ours.items()} == {
        n: a.shape for n, a in weights(program).items()
    }
    back = from_ours(library, program, ours)
    for one, other in zip(back, theirs, strict=True):
        assert one.tobytes() == other.tobytes()
        assert not any(np.shares_memory(one, a) for a in (*ours.values(), other))


@pytest.mark.parametrize(("library", "program"), PAIRS, ids=str)
def test_ours_to_theirs_and_back(library, program):
    """To the bit, but for two biases that a library has as one."""
    ours = weights(program)
    back = to_ours(library, program, from_ours(library, program, ours))
    summed = layout(library, program).biases == "sum" and program.option("bias")
    for name, array in ours.items():
        if summed and name == "bias_ih":
            assert np.array_equal(back[name], array + ours["bias_hh"])
        elif summed and name == "bias_hh":
            assert not back[name].any()
        else:
            assert back[name].tobytes() == array.tobytes()


def test_by_hand():
    """One unit: each library's numbers where its documentation says."""
    program = lstm.program(peephole=True)
    ours = {p.name: np.zeros(p.shape(gates=4, inputs=1, hidden=1)) for p in program.parameters}
    ours["weight_ih"][:, 0] = [1, 2, 3, 4]  # i f g o
    ours["bias_ih"][:], ours["bias_hh"][:] = [1, 2, 3, 4], [10, 20, 30, 40]
    for k, gate in enumerate("ifo"):
        ours[f"peephole_{gate}"][:] = k + 1
    W, _, B, P = from_ours("onnx", program, ours)
    assert W[:, 0].tolist() == [1, 4, 2, 3]  # i o f c
    assert B.tolist() == [1, 4, 2, 3, 10, 40, 20, 30]
    assert P.tolist() == [1, 3, 2]  # i o f
    plain = lstm.program()
    kernel, _, bias = from_ours("keras", plain, ours)
    assert kernel.tolist() == [[1, 2, 3, 4]]
    assert bias.tolist() == [11, 22, 33, 44]
    for reset in ("after", "before"):
        program = gru.program(reset=reset)
        ours = {p.name: np.zeros(p.shape(gates=3, inputs=1, hidden=1)) for p in program.parameters}
        ours["bias_ih"][:], ours["bias_hh"][:] = [1, 2, 3], [10, 20, 30]  # r z n
        *_, bias = from_ours("keras", program, ours)
        expected = [[2, 1, 3], [20, 10, 30]] if reset == "after" else [22, 11, 33]
        assert bias.tolist() == expected
        assert from_ours("onnx", program, ours)[2].tolist() == [2, 1, 3, 20, 10, 30]


def test_ours_are_torchs():
    """Which is why torch's parameters pass under their names."""
    for cell, module in ((rnn, nn.RNN), (lstm, nn.LSTM), (gru, nn.GRU)):
        theirs = layout("torch", cell.program())
        assert (theirs.gates, theirs.transposed, theirs.biases) == (cell.gates, False, "two")
        shaped = [tuple(p.shape) for p in module(I, H).parameters()]
        assert shapes("torch", cell.program(), (I, H)) == shaped


def test_every_layout_has_every_gate():
    for (library, name), found in LAYOUTS.items():
        cell = {"rnn": rnn, "lstm": lstm, "gru": gru}[name.partition(",")[0]]
        assert sorted(found.gates) == sorted(cell.gates), (library, name)


@pytest.mark.parametrize(
    ("library", "program", "arrays", "message"),
    [
        (
            "keras",
            lstm.program(),
            [(4, 3), (2, 8), (8,)],
            r"keras weights of lstm: expected arrays of shapes \(4, 8\), \(2, 8\), \(8,\), "
            r"received \(4, 3\), \(2, 8\), \(8,\)",
        ),
        ("keras", gru.program(), [(3, 6), (2, 6), (6,)], r"\(2, 6\), received .*\(6,\)"),
        ("onnx", rnn.program(), [(2, 3), (2, 2)], r"\(4,\), received \(2, 3\), \(2, 2\)"),
        ("torch", rnn.program(bias=False), [], r"expected arrays of shapes .*, received none"),
        ("flax", lstm.program(), [], r"cell lstm: flax has no such cell \(it has none\)"),
    ],
)
def test_arrays_that_do_not_fit(library, program, arrays, message):
    with pytest.raises(InputError, match=message) as caught:
        to_ours(library, program, [np.zeros(shape) for shape in arrays])
    assert "\n" not in str(caught.value)
