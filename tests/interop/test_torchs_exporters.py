"""`torch.jit.trace` and `torch.onnx.export` of models with our layers in them: what was recorded
computes what the module does, in ONNX Runtime for any batch, and by the older exporter any time."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import recurra
from nn.variants import CELLS, LOOPS, H, I, as_tuple, draw
from recurra import native
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from tolerances import assert_all_close

ort = pytest.importorskip("onnxruntime")
pytestmark = [
    # torch's tracers warn of sizes that are looked at, and of themselves.
    pytest.mark.filterwarnings("ignore"),
]

T, B = 5, 3


class Tagger(nn.Module):
    """A user's model: tokens (B, T) to scores."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, I)
        self.rnn = LSTM(I, H, 2, bidirectional=True, batch_first=True, dropout=0.3)
        self.head = nn.Linear(2 * H, 4)

    def forward(self, ids):
        return self.head(self.rnn(self.embedding(ids))[0])


class Step(nn.Module):
    """A user's model of one step."""

    def __init__(self, make):
        super().__init__()
        self.cell = make(I, H)

    def forward(self, x):
        return self.cell(x, self.cell(x))


def given(steps, batch):
    return torch.randn(steps, batch, I, generator=torch.Generator().manual_seed(steps))


def tokens(steps, batch):
    return torch.randint(0, 11, (batch, steps), generator=torch.Generator().manual_seed(steps))


#: Modules with what they read, and its axes of time and batch.
ROWS = {
    "RNN": (lambda: RNN(I, H), given, (0, 1)),
    "RNN relu": (lambda: RNN(I, H, nonlinearity="relu", bias=False), given, (0, 1)),
    "GRU": (lambda: GRU(I, H), given, (0, 1)),
    "LSTM": (lambda: LSTM(I, H), given, (0, 1)),
    "GRU stacked": (lambda: GRU(I, H, 2, bidirectional=True, residual=True), given, (0, 1)),
    "learnt start": (lambda: GRU(I, H, learn_initial_state=True), given, (0, 1)),
    "in a sequence": (lambda: nn.Sequential(nn.Linear(I, I), GRU(I, H)), given, (0, 1)),
    "a tagger": (Tagger, tokens, (1, 0)),
    "RNNCell": (lambda: Step(RNNCell), lambda t, b: given(t, b)[0], (None, 0)),
    "GRUCell": (lambda: Step(GRUCell), lambda t, b: given(t, b)[0], (None, 0)),
    "LSTMCell": (lambda: Step(LSTMCell), lambda t, b: given(t, b)[0], (None, 0)),
}
EACH = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def flat(found):
    return [v for part in as_tuple(found) for v in as_tuple(part)]


@EACH
def test_our_own_export_of_any_module(row, tmp_path):
    make, inputs, _ = row
    torch.manual_seed(1)
    module, path = make(), tmp_path / "model.onnx"
    assert recurra.export.onnx(module, path, inputs=inputs(T, B)) == [path]
    assert module.training, "as it was"
    module.eval()
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = [i.name for i in session.get_inputs()]
    for steps, batch in ((T, B), (9, 2), (2, 6)):
        x = inputs(steps, batch)
        with torch.no_grad():
            expected = [v.numpy() for v in flat(module(x))]
        assert_all_close(session.run(None, {name: x.numpy()}), expected, f"{steps} {batch}")
        ours = recurra.load(path).run({name: x.numpy()}) if name == "input" else None
        if ours is not None:
            assert_all_close(list(ours.values()), expected, f"here: {steps} {batch}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "received Tagger: give inputs= with an example"),
        ({"inputs": "ids"}, "expected a tensor or a tuple of tensors, received str"),
        ({"inputs": ()}, "received none"),
        (
            {"inputs": torch.zeros(2, 3)},
            "Tagger: torch's exporter cannot write it with these inputs",
        ),
        ({"inputs": tokens(T, B), "lengths": True}, "no step, lengths, states or reset"),
    ],
)
def test_a_module_that_cannot_be_exported_is_refused_in_a_line(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        recurra.export.onnx(Tagger(), tmp_path / "m.onnx", **arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m.onnx").exists()


@EACH
@pytest.mark.parametrize("dynamo", [False, True], ids=["older", "dynamo"])
def test_onnx(row, dynamo, tmp_path):
    if dynamo:
        pytest.importorskip("onnxscript")
    make, inputs, axes = row
    torch.manual_seed(1)
    module, path = make().eval(), tmp_path / "model.onnx"
    names = {
        axis: name for axis, name in zip(axes, ("time", "batch"), strict=True) if axis is not None
    }
    if dynamo:
        # The newer exporter fixes the time of torch's own layers, too.
        shapes = ({axes[1]: torch.export.Dim("batch", min=1, max=999)},)
        if "relu" in repr(module):
            return  # torch's exporter has no such operator, for torch's layers neither
        torch.onnx.export(
            module, (inputs(T, B),), path, dynamo=True, dynamic_shapes=shapes, verbose=False
        )
    else:
        torch.onnx.export(
            module,
            (inputs(T, B),),
            path,
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": names},
        )
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    ((name, shape),) = [(i.name, i.shape) for i in session.get_inputs()]
    fixed = isinstance(shape[axes[1]], int)  # by torch's newer exporter, which says so in the file
    assert dynamo or not fixed
    for steps, batch in ((T, B), (9, 2), (2, 6)):
        x = inputs(T if dynamo else steps, B if fixed else batch)
        with torch.no_grad():
            expected = [v.numpy() for v in flat(module(x))]
        assert_all_close(session.run(None, {name: x.numpy()}), expected, f"{steps} {batch}")


@pytest.mark.parametrize("dynamo", [False, True], ids=["older", "dynamo"])
def test_what_torch_has_no_operator_for_is_refused_in_a_line(dynamo, tmp_path):
    if dynamo:
        pytest.importorskip("onnxscript")
    module = nn.Sequential(LSTM(I, H, layer_norm=True)).eval()
    with pytest.raises(Exception) as caught:  # torch's own around ours, where it tries many ways
        torch.onnx.export(module, (given(T, B),), tmp_path / "m.onnx", dynamo=dynamo, verbose=False)
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    assert "recurra.export.onnx" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("variant", CELLS + LOOPS, ids=str)
def test_traces_compute_the_same(variant):
    """To the bit, for any batch and time, with gradients, saved and loaded."""
    module = variant.make(dtype=torch.float32).eval()
    traced = torch.jit.trace(module, (draw(T, B, I, dtype=torch.float32),), check_trace=False)
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    for steps, batch in ((T, B), (7, 2)):
        x = draw(steps, batch, I, dtype=torch.float32)
        expected = flat(module(x))
        for run in (traced, torch.jit.load(file)):
            file.seek(0)
            for one, other in zip(flat(run(x)), expected, strict=True):
                if native.available():
                    assert torch.equal(one, other)
            module.zero_grad()
    found = []
    for run in (traced, module):
        module.zero_grad()
        sum(v.sum() for v in flat(run(x))).backward()
        found.append([p.grad.clone() for p in module.parameters()])
    assert_all_close(*found, str(variant))


@EACH
def test_traces_of_models(row):
    make, inputs, _ = row
    module = make().eval()
    traced = torch.jit.trace(module, (inputs(T, B),), check_trace=False)
    for steps, batch in ((T, B), (9, 2)):
        x = inputs(steps, batch)
        assert_all_close(flat(traced(x)), flat(module(x)), f"{steps} {batch}")


def test_a_loaded_trace_asks_for_this_package(tmp_path):
    module = GRU(I, H).eval()
    torch.jit.trace(module, (given(T, B),), check_trace=False).save(str(tmp_path / "m.pt"))
    np.save(tmp_path / "x.npy", given(T, B).numpy())
    script = (
        "import sys, torch, numpy\n"
        "{more}m = torch.jit.load('m.pt')\n"
        "print(m(torch.from_numpy(numpy.load('x.npy')))[0].sum().item())"
    )
    for more, good in (("import recurra.nn\n", True), ("", False)):
        done = subprocess.run(
            [sys.executable, "-c", script.format(more=more)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert (done.returncode == 0) is good, done.stderr
        assert good or "recurra::traced" in done.stderr
