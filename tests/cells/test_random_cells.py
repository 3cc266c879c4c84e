"""Random cells of all words, in every way they run, against loops in torch and finite differences.

`RECURRA_RANDOM_CELLS=1000` tries so many, in place of those that take a few seconds;
`RECURRA_RANDOM_FIRST=500` begins there.
"""

import json
import os

import numpy as np
import pytest
import torch

from cells.random_cells import H, Plain, RandomCell
from recurra import native
from recurra.cells import CellData, data_of
from recurra.cells.latex import equations
from recurra.interop.onnx.run import OnnxModel
from recurra.interop.onnx.write import sequence_model
from recurra.nn import Recurrent, RecurrentCell
from recurra.reference import Interpreter

COUNT = int(os.environ.get("RECURRA_RANDOM_CELLS", "0"))
FIRST = int(os.environ.get("RECURRA_RANDOM_FIRST", "0"))
#: A few, and those in which a fault once showed.
NUMBERS = (
    range(FIRST, FIRST + COUNT)
    if COUNT
    else (*(0, 1, 2, 3, 4, 6, 33, 49, 51, 67), *(100001, 100003, 100004), *range(100007, 100012))
)
T, B = 5, 3
LENGTHS = torch.tensor([5, 0, 3])

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")


class Case:
    """A random cell, a layer of it in both directions, and what a plain loop makes of it."""

    def __init__(self, number):
        self.random = RandomCell(number)
        self.cell = self.random.cell()
        torch.manual_seed(number)
        self.layer = Recurrent(
            self.cell, self.random.features, H, bidirectional=True, dtype=torch.float64
        )
        data = [b for n, b in self.layer.named_buffers() if not n.startswith("mask_")]
        for parameter in (*self.layer.parameters(), *data):
            torch.nn.init.uniform_(parameter, -0.5, 0.5)
        self.x = torch.randn(T, B, self.random.features, dtype=torch.float64, requires_grad=True)

    def weights(self, suffix="_l0"):
        return {
            n.removesuffix(suffix): p
            for n, p in (*self.layer.named_parameters(), *self.layer.named_buffers())
            if n.endswith(suffix)
        }

    def loop(self, lengths):
        program = self.layer.program
        sides = [
            Plain(self.random, program, self.weights(suffix)).run(self.x, lengths, reverse)
            for suffix, reverse in (("_l0", False), ("_l0_reverse", True))
        ]
        states = [torch.stack(pair) for pair in zip(sides[0][1], sides[1][1], strict=True)]
        return torch.cat([side[0] for side in sides], -1), states

    def run(self, lengths):
        outputs, last = self.layer(self.x, lengths=lengths)
        states = last if isinstance(last, tuple) else (last,)
        return outputs, list(states[: len(self.random.states)])

    @staticmethod
    def loss(found):
        outputs, states = found
        return (outputs.sin() * 1.5).sum() + sum((state * state).sum() for state in states)

    def gradients(self, found):
        wanted = [self.x, *self.layer.parameters()]
        return torch.autograd.grad(
            self.loss(found), wanted, materialize_grads=True, allow_unused=True
        )

    def along(self, lengths, size):
        """The loss with all parameters moved a little along one direction, and that direction."""
        torch.manual_seed(7)
        moved = [torch.randn_like(p) for p in self.layer.parameters()]
        with torch.no_grad():
            for parameter, way in zip(self.layer.parameters(), moved, strict=True):
                parameter += size * way
            value = self.loss(self.run(lengths))
            for parameter, way in zip(self.layer.parameters(), moved, strict=True):
                parameter -= size * way
        return value, moved


def assert_alike(found, expected, rtol=1e-8, atol=1e-10):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_way_agrees(number, tmp_path, monkeypatch):
    case = Case(number)
    assert case.layer._kernel is not None
    for lengths in (None, LENGTHS):
        expected = case.loop(lengths)
        wanted = case.gradients(expected)
        for way in ("kernels", "reference"):
            with monkeypatch.context() as patch:
                if way == "reference":
                    patch.setattr(case.layer, "_kernel", None)
                found = case.run(lengths)
                assert_alike([found[0], *found[1]], [expected[0], *expected[1]])
                assert_alike(case.gradients(found), wanted)
    size = 1e-5
    (above, way), (below, _) = case.along(LENGTHS, size), case.along(LENGTHS, -size)
    slope = sum((g * w).sum() for g, w in zip(wanted[1:], way, strict=True))
    if "floor" not in str(case.random.equations):  # which jumps
        torch.testing.assert_close((above - below) / (2 * size), slope, rtol=2e-4, atol=1e-5)
    check_without_torch(case)
    check_in_float32_and_files(case, tmp_path)


def check_without_torch(case):
    """numpy, and single steps."""
    program, x = case.layer.program, case.x.detach()
    weights = {n: p.detach() for n, p in case.weights().items()}
    expected = case.run(None)[0][..., :H].detach()
    states = [torch.full((B, H), start, dtype=torch.float64) for start in program.first]
    arrays = {n: p.numpy() for n, p in weights.items()}
    run = Interpreter(program, arrays).run(x.numpy(), [s.numpy() for s in states])
    assert_alike([torch.from_numpy(run.outputs)], [expected])
    single = RecurrentCell(case.cell, case.random.features, H, dtype=torch.float64)
    single.load_state_dict(weights)
    state = None
    for t in range(T):
        state = single(x[t], state)
        output = state[0] if isinstance(state, tuple) else state
        assert_alike([output], [expected[t]])


def check_in_float32_and_files(case, tmp_path):
    """float32, of some on another instruction set; ONNX files in two programs; JSON."""
    from recurra.interop.network import describe

    program = case.layer.program
    data = data_of(case.cell, program)
    assert CellData.from_json(json.loads(json.dumps(data.to_json())), "file") == data
    assert len(equations(program)) == len(program.visible)
    layer = Recurrent(case.cell, case.random.features, H, bidirectional=True)
    layer.load_state_dict({n: p.float() for n, p in case.layer.state_dict().items()})
    x = case.x.detach().float()
    if "floor" in str(case.random.equations):
        return  # a last bit decides on which side of a jump a value is
    expected = case.run(None)[0].detach().float()
    before, others = native.isa(), native.isas()
    try:
        assert_alike([layer(x)[0].detach()], [expected], 2e-3, 2e-4)
        if case.random.number % 4 == 0:
            native.use_isa(others[case.random.number // 4 % len(others)])
            assert_alike([layer(x)[0].detach()], [expected], 2e-3, 2e-4)
    finally:
        native.use_isa(before)
    path = tmp_path / "cell.onnx"
    path.write_bytes(sequence_model(describe(layer), lengths=False, states=False))
    found = OnnxModel.load(path).run({"input": x.numpy()})["output"]
    np.testing.assert_allclose(found, expected.numpy(), rtol=2e-3, atol=2e-4)
    runtime = pytest.importorskip("onnxruntime")
    found = runtime.InferenceSession(str(path)).run(None, {"input": x.numpy()})[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=2e-3, atol=2e-4)
