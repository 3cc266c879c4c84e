"""What we write as ONNX, run by ONNX Runtime and by our importer, is what our layers compute."""

import itertools
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from conftest import ROOT
from nn.variants import CELLS, LOOPS, H, I, Variant, as_hx, as_tuple, draw, states_of
from recurra.cells import FUNCTIONS, cell, sigmoid, tanh
from recurra.errors import FormatError, InputError
from recurra.export import OnnxModel, from_onnx
from recurra.export import onnx as write
from recurra.nn import GRU, LSTM, RNN, Recurrent
from recurra.storage import save_model
from runtime.models import ROWS
from tolerances import assert_all_close, assert_close

#: The kernels do not compute it, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:cell without_input")

B, LENGTHS = 3, (1, 2, 3, 7, 12)


@cell(states="h m", gates="a b")
def delayed(x, u, h, m, opt):
    """A state that lags behind, a product inside the step, constants."""
    b = sigmoid(x.b + 2 * u(m).b)
    return dict(h=tanh(x.a + u(b * h).a) - 0.1, m=h)


@cell(states="h", gates="a")
def without_input(x, u, h, opt):
    """Nothing of the input: a Scan has to scan something all the same."""
    return dict(h=tanh(u(h).a))


OWN = [
    Variant(Recurrent, {"cell": delayed, **more})
    for more in ({}, {"num_layers": 2, "zoneout": (0.2, 0.0)}, {"learn_initial_state": True})
]
OWN += [Variant(Recurrent, {"cell": without_input})]
NOISY = [Variant(layer, {"zoneout": 0.3, "num_layers": 2}) for layer in (RNN, LSTM, GRU)]
SHAPES = [
    {},
    {"bidirectional": True, "num_layers": 2},
    {"batch_first": True, "num_layers": 3},
    {"bidirectional": True, "batch_first": True},
    {"bias": False},
]
ALL = CELLS + LOOPS + NOISY + OWN


def make(variant, dtype, **more):
    if "cell" not in variant.arguments:
        return variant.make(dtype=dtype, **more).eval()
    torch.manual_seed(20)
    arguments = variant.arguments | more
    module = Recurrent(arguments.pop("cell"), I, H, dtype=dtype, **arguments)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.9, 0.9)
    return module.eval()


def rows():
    for variant, more in itertools.product(ALL, SHAPES):
        taken = set(more) & set(variant.arguments)
        turned = variant.arguments.get("reverse") and "bidirectional" in more
        if not taken and not turned:
            yield variant, more


def dtypes(variant):
    """Those that tell: layer norm's small divisor magnifies roundings of float32 to where they hide
    mistakes, and a Scan is the same graph in both."""
    if variant.arguments.get("layer_norm"):
        return (torch.float64,)
    return (torch.float32, torch.float64)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(path, options)


def inputs_of(module, steps, dtype):
    shape = (B, steps, I) if module.batch_first else (steps, B, I)
    return draw(*shape, seed=steps, dtype=dtype)


@pytest.mark.parametrize("variant", ALL, ids=str)
def test_every_cell_direction_depth_and_length(variant, tmp_path):
    path = tmp_path / "layer.onnx"
    for more in (m for v, m in rows() if v is variant):
        for dtype in dtypes(variant):
            module = make(variant, dtype, **more)
            write(module, path)
            onnx.checker.check_model(path, full_check=True)
            run, ours = session(path), OnnxModel.load(path)
            for steps in LENGTHS:
                x, text = inputs_of(module, steps, dtype), f"{variant} {more} {dtype} {steps}"
                with torch.no_grad():
                    outputs, state = module(x)
                expected = [outputs, *as_tuple(state)]
                assert_all_close(run.run(None, {"input": x.numpy()}), expected, text)
            found = ours.run({"input": x.numpy()})
            assert list(found) == ["output", *(f"{s}_n" for s in module.cell.states)]
            assert_all_close(list(found.values()), expected, f"{text}: by our importer")


@pytest.mark.parametrize("variant", ALL, ids=str)
def test_lengths_and_initial_states(variant, tmp_path):
    path = tmp_path / "layer.onnx"
    for more in (m for v, m in rows() if v is variant and m in SHAPES[:3]):
        dtype = dtypes(variant)[0]
        module = make(variant, dtype, **more)
        write(module, path, lengths=True, states=True)
        onnx.checker.check_model(path, full_check=True)
        for lengths in ((7, 0, 3), (1, 7, 7)):
            x, states = inputs_of(module, 7, dtype), states_of(module, B)
            count = torch.tensor(lengths)
            with torch.no_grad():
                outputs, state = module(x, as_hx(states), lengths=count)
            given = {"input": x.numpy(), "lengths": count.numpy()}
            names = [f"{s}_0" for s in module.cell.states]
            given |= {n: s.numpy() for n, s in zip(names, states, strict=True)}
            expected = [outputs, *as_tuple(state)]
            for run in (theirs(path), ours(path)):
                assert_all_close(run(given), expected, f"{variant} {more} {lengths}")


@pytest.mark.parametrize("variant", ALL, ids=str)
def test_steps_of_a_stream_are_the_whole_sequence(variant, tmp_path):
    for more in ({}, {"num_layers": 2}):
        if set(more) & set(variant.arguments):
            continue
        module = make(variant, torch.float32, **more)
        whole, step = tmp_path / "layer.onnx", tmp_path / "step.onnx"
        if module.bidirectional or module.reverse:
            with pytest.raises(InputError, match="a step model needs layers that run forward"):
                write(module, whole, step=step)
            assert not whole.exists()
            continue
        assert write(module, whole, step=step, states=True) == [whole, step]
        onnx.checker.check_model(step, full_check=True)
        names, x = module.cell.states, draw(6, B, I, dtype=torch.float32)
        start = dict(zip((f"{n}_0" for n in names), states_of(module, B), strict=True))
        start = {n: s.numpy() for n, s in start.items()}
        expected = session(whole).run(None, {"input": x.numpy(), **start})
        for run in (theirs(step), ours(step)):
            state, outputs = dict(start), []
            for t in range(len(x)):
                output, *new = run({"input": x[t].numpy(), **state})
                state = dict(zip(start, new, strict=True))
                outputs.append(output)
            assert_close(np.stack(outputs), expected[0], f"{variant} {more}")
            assert_all_close(list(state.values()), expected[1:], f"{variant} {more}")


def theirs(path):
    run = session(path)
    return lambda given: run.run(None, given)


def ours(path):
    model = OnnxModel.load(path)
    return lambda given: list(model.run(given).values())


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_language_models(row, tmp_path):
    module, runtime = row.both()
    whole, step = tmp_path / "lm.onnx", tmp_path / "lm-step.onnx"
    write(module, whole, step=step, lengths=True)
    names = [f"{s}_0" for s in module.rnn.cell.states]
    for steps, run in itertools.product((1, 5), (theirs(whole), ours(whole))):
        ids = np.random.default_rng(steps).integers(0, module.vocabulary, (B, steps))
        with torch.no_grad():
            logits, state = module(torch.from_numpy(ids))
        found = run({"ids": ids, "lengths": np.full(B, steps)})
        assert_all_close(found, [logits, *as_tuple(state)], str(row))
    for run in (theirs(step), ours(step)):
        layers = runtime.start(B)
        given = {n: np.stack([layer[k] for layer in layers]) for k, n in enumerate(names)}
        for t in range(steps):
            output, *new = run({"ids": ids[:, t], **given})
            given = dict(zip(names, new, strict=True))
            assert_close(output, logits[:, t], f"{row} step {t}")
        assert_all_close(new, found[1:], str(row))


def test_standard_operators_where_they_fit(tmp_path):
    """And a Scan only elsewhere: what other tools make of a file depends on it."""

    def operators(module):
        write(module, tmp_path / "a.onnx")
        nodes = onnx.load(tmp_path / "a.onnx").graph.node
        return [n.op_type for n in nodes if n.op_type in ("RNN", "LSTM", "GRU", "Scan")]

    assert operators(RNN(I, H, 2)) == ["RNN", "RNN"]
    assert operators(RNN(I, H, nonlinearity="relu", bidirectional=True)) == ["RNN"]
    assert operators(LSTM(I, H, peephole=True, bidirectional=True, bias=False)) == ["LSTM"]
    assert operators(GRU(I, H, recurrent_activation="hard_sigmoid", reverse=True)) == ["GRU"]
    assert operators(GRU(I, H, reset="before", merge="sum", bidirectional=True)) == ["GRU"]
    assert operators(LSTM(I, H, layer_norm=True)) == ["Scan"]
    assert operators(LSTM(I, H, proj_size=2, bidirectional=True)) == ["Scan", "Scan"]
    assert operators(GRU(I, H, zoneout=0.1)) == ["Scan"]
    assert operators(RNN(I, H, activation="exp")) == ["Scan"]
    assert operators(Recurrent(delayed, I, H)) == ["Scan"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function(function, dtype, tmp_path):
    """As the function of an operator where it is one, and of a Scan."""
    for more in ({}, {"layer_norm": True}):
        arguments = {"activation": function, "recurrent_activation": function, **more}
        module = make(Variant(LSTM, arguments), dtype)
        with torch.no_grad():  # for exp of exp of exp
            for parameter in module.parameters():
                parameter.mul_(0.3)
        write(module, tmp_path / "a.onnx")
        x = draw(2, B, I, dtype=dtype)
        with torch.no_grad():
            outputs, state = module(x)
        for run in (theirs, ours):
            found = run(tmp_path / "a.onnx")({"input": x.numpy()})
            assert_all_close(found, [outputs, *state], f"{function} {more}")


@pytest.mark.parametrize("variant", CELLS + LOOPS, ids=str)
def test_layers_come_back_with_their_bits(variant, tmp_path):
    module = make(variant, torch.float32)
    write(module, tmp_path / "a.onnx")
    if "Scan" in {node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node}:
        with pytest.raises(FormatError, match="expected nodes of RNN, LSTM, GRU, found none"):
            from_onnx(tmp_path / "a.onnx")
        return
    layers = from_onnx(tmp_path / "a.onnx")
    back = [row for layer in layers.values() for row in layer.all_weights]
    for one, other in zip(back, module.all_weights, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert {layer.cell for layer in layers.values()} == {module.cell}
    first = next(iter(layers.values()))
    if first.num_layers == module.num_layers == 1 and not any(first.zoneout):
        assert (first.program, first.reverse) == (module.program, module.reverse)


def test_a_model_of_another_exporter(tmp_path):
    """torch's, which puts recurrent operators between reshapes of its own."""
    for theirs in (
        torch.nn.LSTM(I, H, 2, bidirectional=True),
        torch.nn.GRU(I, H, batch_first=True),
    ):
        path, x = tmp_path / "theirs.onnx", draw(5, B, I, dtype=torch.float32)
        names = {"input_names": ["x"], "dynamic_axes": {"x": {0: "one", 1: "two"}}}
        with pytest.warns():  # that it is the old exporter; the new one needs a package more
            torch.onnx.export(theirs, (x,), path, dynamo=False, **names)
        with torch.no_grad():
            outputs, state = theirs(x)
        found = list(OnnxModel.load(path).run({"x": x.numpy()}).values())
        assert_all_close(found, [outputs, *as_tuple(state)], str(theirs))
        layers = list(from_onnx(path).values())
        assert len(layers) == theirs.num_layers
        if theirs.batch_first:
            x = x.transpose(0, 1)
        for layer in layers:
            x = layer(x)[0]
        expected = outputs.transpose(0, 1) if theirs.batch_first else outputs
        assert_close(x, expected, "by our layers")


def test_writing_needs_no_torch(tmp_path):
    """A saved model is exported, and what was written is loaded and run, without it."""
    from recurra.tasks.language_model import LanguageModel
    from tasks.texts import QUICK, TINY, prose

    text = tmp_path / "prose.txt"
    text.write_text(prose())
    model = LanguageModel(**TINY)
    model.fit(text, progress=False, **QUICK)
    model.save(tmp_path / "model")
    script = f"""
import sys
sys.modules["torch"] = None
import numpy, recurra
recurra.export.onnx({str(tmp_path / "model")!r}, {str(tmp_path / "a.onnx")!r})
model = recurra.load({str(tmp_path / "a.onnx")!r})
ids = numpy.array([[1, 2, 3]])
lm = recurra.load({str(tmp_path / "model")!r})
logits, _ = lm.runtime.read(ids, None, lm.runtime.start(1))
print(abs(model.run({{"ids": ids}})["logits"][:, -1] - logits).max() < 1e-5)
print(sorted(model.notes), recurra.export.onnx(lm, {str(tmp_path / "b.onnx")!r})[0].name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n['recurra.task', 'recurra.tokenizer'] b.onnx\n"
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: 3, "expected a recurrent layer of recurra.nn, a language model, .*received int"),
        (lambda: torch.nn.LSTM(3, 4), "expected a recurrent layer of recurra.nn, .*received LSTM"),
        (lambda: GRU(3, 4).half(), "expected weights of float32 or float64, received float16"),
        (lambda: "no/such/model", "no/such/model: no such directory"),
    ],
)
def test_what_cannot_be_written(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        write(make(), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_models_of_other_tasks_are_refused(tmp_path):
    save_model(tmp_path / "model", config={"task": "forecaster"}, tensors={"a": np.zeros(1)})
    with pytest.raises(InputError, match=r"model: expected a language model, received .*'forecast"):
        write(tmp_path / "model", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_one_path_for_two_files(tmp_path):
    with pytest.raises(InputError, match="expected two paths"):
        write(GRU(3, 4), tmp_path / "a.onnx", step=tmp_path / "a.onnx")
