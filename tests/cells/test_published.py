"""Published cells, a file each, against plain loops in torch, in every way they run."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from cells.papers import weights_of
from recurra import native
from recurra.cells import CellData, data_of
from recurra.cells.latex import equations
from recurra.cells.matrices import plain
from recurra.interop.onnx.run import OnnxModel
from recurra.interop.onnx.write import sequence_model
from recurra.matrices import plain_parameters
from recurra.nn import Recurrent, RecurrentCell
from recurra.nn.state import initial_states
from recurra.reference import Interpreter

NAMES = sorted(path.stem for path in Path(__file__).with_name("published").glob("*.py"))
T, B, I, H = 7, 3, 5, 6
LENGTHS = torch.tensor([7, 0, 4])
#: Before the first step, in the middle, twice in a row, beyond a length, never.
RESETS = (
    torch.tensor([[1, 0, 0, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 1, 0]]).bool().T
)
GIVEN = {
    "whole": {},
    "lengths": {"lengths": LENGTHS},
    "reset": {"reset": RESETS},
    "reset, lengths": {"reset": RESETS, "lengths": LENGTHS},
}

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")


class Paper:
    """A file of `published`, and a layer of its cell with random parameters in float64."""

    def __init__(self, name):
        self.module = import_module(f"cells.published.{name}")
        self.cell = getattr(self.module, f"{name}_of_paper")
        self.options = getattr(self.module, "OPTIONS", {})
        torch.manual_seed(len(name))
        program = self.cell.program()
        self.features = getattr(self.module, "FEATURES", I + program.further)
        self.layer = Recurrent(self.cell, self.features, H, dtype=torch.float64, **self.options)
        self.start = dict(self.cell.init)
        for parameter in self.layer.parameters():
            if parameter.numel() > 1:
                torch.nn.init.uniform_(parameter, -0.6, 0.6)
        self.keep_starts()
        self.x = torch.randn(T, B, self.features, dtype=torch.float64)
        getattr(self.module, "prepare", lambda x: None)(self.x)
        self.x.requires_grad_()
        self.states = [
            torch.rand(1, B, H, dtype=torch.float64).sub(0.4).add(max(start, -3)).requires_grad_()
            for start in program.first
        ]
        with torch.no_grad():
            getattr(self.module, "prepare_states", lambda states: None)(self.states)

    def keep_starts(self):
        """Parameters with a start stay near it: some papers divide by them."""
        for name, value in self.start.items():
            if name in self.cell.learnt:
                parameter = getattr(self.layer, f"learnt_{name}_l0", None)
                if parameter is None:
                    continue
                torch.nn.init.uniform_(parameter, value - 0.1, value + 0.1)

    def weights(self):
        return weights_of(self.module, self.cell, self.layer)

    def loop(self, lengths=None, reset=None):
        """Outputs (T, B, H) and last states of the plain loop."""
        weights, states, outputs = self.weights(), [s[0] for s in self.states], []
        # At one place, whatever it is: zeros, or numbers that the cell says.
        starts = initial_states(self.layer, None, self.x)
        for t in range(T):
            if reset is not None:
                anew = reset[t] if lengths is None else reset[t] & (t < lengths)
                pairs = zip(starts, states, strict=True)
                states = [torch.where(anew[:, None], first[0], s) for first, s in pairs]
            new = self.module.step(weights, self.x[t], *states)
            output = new[0]
            if lengths is not None:
                here = (t < lengths)[:, None]
                new = [torch.where(here, n, old) for n, old in zip(new, states, strict=True)]
                output = torch.where(here, output, torch.zeros_like(output))
            states = list(new)
            outputs.append(output)
        return torch.stack(outputs), states

    def gradients(self, outputs, states):
        loss = (outputs * outputs.detach().cos()).sum() + sum((s.sin() * 0.5).sum() for s in states)
        wanted = [self.x, *self.states, *self.layer.parameters()]
        return torch.autograd.grad(loss, wanted, allow_unused=True)

    def run(self, **more):
        given = tuple(self.states) if len(self.states) > 1 else self.states[0]
        outputs, last = self.layer(self.x, given, **more)
        return outputs, [s[0] for s in (last if isinstance(last, tuple) else (last,))]


def assert_alike(found, expected):
    for one, other in zip(found, expected, strict=True):
        if one is None or other is None:
            assert one is None or not one.any()
            assert other is None or not other.any()
        else:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.fixture(scope="module", params=NAMES)
def paper(request):
    return Paper(request.param)


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN.keys())
@pytest.mark.parametrize("way", ["kernels", "reference"])
def test_outputs_and_gradients(paper, way, given, monkeypatch):
    assert paper.layer._kernel is not None
    if way == "reference":
        monkeypatch.setattr(paper.layer, "_kernel", None)
    expected, found = paper.loop(**given), paper.run(**given)
    assert_alike([found[0], *found[1]], [expected[0], *expected[1]])
    assert_alike(paper.gradients(*found), paper.gradients(*expected))


def test_numpy_and_single_steps(paper):
    expected, last = paper.loop()
    weights = {n[:-3]: p.numpy() for n, p in paper.layer.state_dict().items()}
    states = [s[0].detach().numpy() for s in paper.states]
    run = Interpreter(paper.layer.program, weights).run(paper.x.detach().numpy(), states)
    assert_alike([torch.from_numpy(run.outputs)], [expected])
    assert_alike([torch.from_numpy(s) for s in run.states], last)
    anew, ended = paper.loop(reset=RESETS)
    start = [s[0].detach().numpy() for s in initial_states(paper.layer, None, paper.x)]
    more = {"reset": RESETS.numpy(), "start": start}
    run = Interpreter(paper.layer.program, weights).run(paper.x.detach().numpy(), states, **more)
    assert_alike([torch.from_numpy(a) for a in (run.outputs, *run.states)], [anew, *ended])
    single = RecurrentCell(paper.cell, paper.features, H, dtype=torch.float64, **paper.options)
    single.load_state_dict({n[:-3]: p for n, p in paper.layer.state_dict().items()})
    first = tuple(s[0] for s in paper.states)
    found = single(paper.x[0], first if len(first) > 1 else first[0])
    found = found if isinstance(found, tuple) else (found,)
    assert_alike(found, paper.module.step(paper.weights(), paper.x[0], *first))
    found = single(paper.x[0], first if len(first) > 1 else first[0], reset=RESETS[0])
    found = found if isinstance(found, tuple) else (found,)
    assert_alike([s[0] for s in found], [s[0] for s in single_from_start(single, paper.x[0])])
    kernels = plain(paper.layer.program)
    parameters = plain_parameters(paper.layer.program, single.state_dict())
    stepper = native.Stepper(
        kernels,
        [parameters[p.name] for p in kernels.parameters],
        batch=B,
        start=[s[0] for s in start],
    )
    stepper.states = states
    for t in range(T):
        y = stepper.step(paper.x[t].detach().numpy(), reset=RESETS[t].numpy())
        torch.testing.assert_close(torch.from_numpy(y), anew[t].detach(), rtol=1e-9, atol=1e-11)


def single_from_start(cell, x):
    found = cell(x)
    return found if isinstance(found, tuple) else (found,)


def test_as_many_parameters_as_in_the_paper(paper):
    program, given = paper.layer.program, paper.layer.named_parameters()
    count = sum(parameter.numel() for _, parameter in given)
    if program.option("bias"):  # of both products, where a paper has one
        count -= len(set(program.biased_gates("ih")) & set(program.biased_gates("hh"))) * H
    features = paper.features - program.further
    assert count == paper.module.parameters(features, H)


def test_as_data_and_as_formulas(paper):
    program = paper.layer.program
    values = json.loads(json.dumps(data_of(paper.cell, program).to_json()))
    found = CellData.from_json(values, "file")
    assert found == data_of(paper.cell, program)
    assert len(json.dumps(values["programs"][0])) < 4000
    assert len(equations(program)) == len(program.visible)


def test_onnx(paper, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    from recurra.interop.network import describe

    layer = Recurrent(paper.cell, paper.features, H, **paper.options)
    layer.load_state_dict({n: p.float() for n, p in paper.layer.state_dict().items()})
    path = tmp_path / "cell.onnx"
    path.write_bytes(sequence_model(describe(layer), lengths=False, states=False))
    x = paper.x.detach().float()
    expected = layer(x)[0].detach().numpy()
    found = runtime.InferenceSession(str(path)).run(None, {"input": x.numpy()})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    model = OnnxModel.load(path)
    assert len(model._scanned) == 1  # on the kernels
    ours = model.run({"input": x.numpy()})["output"]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    path.write_bytes(sequence_model(describe(layer), lengths=False, states=False, reset=True))
    expected = layer(x, reset=RESETS)[0].detach().numpy()
    given = {"input": x.numpy(), "reset": RESETS.numpy()}
    found = runtime.InferenceSession(str(path)).run(None, given)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    model = OnnxModel.load(path)
    assert len(model._scanned) == 1
    ours = model.run(given)["output"]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
