"""Cells that read further inputs, in a classifier of numbers: times, marks of gaps."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import recurra
from cells.papers import weights_of
from cells.published import gru_d, t_lstm
from recurra.cells import cell, exp, relu, sigmoid, tanh
from recurra.errors import InputError
from recurra.nn import Recurrent

PLAIN = {"hidden": 6, "bidirectional": False, "pooling": "last", "inputs": "numbers"}


@cell(states="h", gates="f n", inputs="x dt:1")
def forgetful(x, u, h, opt):
    h = exp(-relu(0.5 * x.dt)) * h
    f = sigmoid(x.f + u(h).f)
    return dict(h=f * h + (1 - f) * tanh(x.n + u(f * h).n))


def forgetful_step(w, x, h):
    x, dt = x[:, :-1], x[:, -1:]
    h = torch.exp(-0.5 * dt.clamp(min=0)) * h
    f = torch.sigmoid(x @ w.W.f.T + h @ w.U.f.T + w.b.f)
    return (f * h + (1 - f) * torch.tanh(x @ w.W.n.T + (f * h) @ w.U.n.T + w.b.n),)


def sequences(gaps, seed=0, count=24, dt=False):
    """Sequences (T, 3) with gaps or (T, 2 + 1) with times between steps, and labels."""
    draw = np.random.default_rng(seed)
    arrays, labels = [], []
    for k in range(count):
        array = draw.normal(3 + (k % 2), 2, (int(draw.integers(2, 9)), 3)).astype(np.float32)
        if dt:
            array[:, -1] = draw.exponential(1.5, len(array))
        array[draw.random(array.shape) < gaps] = np.nan
        arrays.append(array)
        labels.append("ab"[k % 2])
    return arrays, labels


def marked(array, mean, deviation):
    """A loop, a number at a time: the last value, whether it is there, steps since."""
    rows = []
    for t in range(len(array)):
        values, marks, since = [], [], []
        for f in range(array.shape[1]):
            seen = [s for s in range(t + 1) if not np.isnan(array[s, f])]
            value = array[seen[-1], f] if seen else mean[f]
            values.append((value - mean[f]) / deviation[f])
            marks.append(float(not np.isnan(array[t, f])))
            earlier = [s for s in range(t) if not np.isnan(array[s, f])]
            since.append(float(t - earlier[-1]) if earlier else float(t))
        rows.append(values + marks + since)
    return torch.tensor(rows, dtype=torch.float32)


def timed(array, mean, deviation):
    scaled = (array[:, :2] - mean[:2]) / deviation[:2]
    return torch.from_numpy(np.concatenate([scaled, array[:, 2:]], axis=1))


#: Of a cell: its step, its data, how a loop reads a sequence, further settings.
CASES = {
    "gru_d": (gru_d.gru_d_of_paper, gru_d.step, {"gaps": 0.4}, marked, {"missing": "marked"}),
    "forgetful": (forgetful, forgetful_step, {"gaps": 0, "dt": True}, timed, {}),
    "t_lstm": (t_lstm.t_lstm_of_paper, t_lstm.step, {"gaps": 0, "dt": True}, timed, {}),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def case(request):
    made, step, how, read, more = request.param
    data = sequences(**how)
    model = recurra.SequenceClassifier(cell=made, **PLAIN, **more)
    model.fit(data, steps=8, batch=6, progress=False)
    return made, step, how, read, model


def by_a_loop(case, array):
    made, step, _, read, model = case
    tensors = {n: torch.from_numpy(np.array(t)) for n, t in model.files.tensors.items()}
    inputs = model.files.config["inputs"]
    x = read(array, np.array(inputs["mean"]), np.array(inputs["deviation"]))
    layer = Recurrent(made, x.shape[1], 6)
    layer.load_state_dict({n[4:]: t for n, t in tensors.items() if n.startswith("rnn.")})
    module = sys.modules[step.__module__]
    states = [torch.full((1, 6), start) for start in layer.program.first]
    for row in x.float():
        states = list(step(weights_of(module, made, layer), row[None], *states))
    return (states[0] @ tensors["head.weight"].T + tensors["head.bias"]).softmax(-1)[0].detach()


def test_a_plain_loop_says_the_same(case):
    model = case[4]
    arrays, _ = sequences(**{**case[2], "seed": 5})
    found = model.predict_proba(arrays)
    for array, odds in zip(arrays, found, strict=True):
        np.testing.assert_allclose(odds, by_a_loop(case, array), atol=2e-6)


def test_streams_say_the_same_step_by_step(case):
    model = case[4]
    arrays, _ = sequences(**{**case[2], "seed": 6, "count": 4})
    for array, odds in zip(arrays, model.predict_proba(arrays), strict=True):
        stream = model.open_stream()
        for k, frame in enumerate(array):
            said = stream.push(frame)
            if k == 1:
                stream = model.open_stream(state=stream.state)
        assert tuple(said.probabilities.values()) == pytest.approx(tuple(odds), abs=1e-6)


def test_saved_models_run_without_definition_and_torch(case, tmp_path):
    model = case[4]
    model.save(tmp_path / "model")
    arrays, _ = sequences(**{**case[2], "seed": 7, "count": 3})
    np.savez(tmp_path / "x.npz", *arrays)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, recurra\n"
        f"arrays = list(np.load({str(tmp_path / 'x.npz')!r}).values())\n"
        f"print(recurra.load({str(tmp_path / 'model')!r}).predict_proba(arrays).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(model.predict_proba(arrays).tolist())


def test_two_layers_both_directions_and_dropout_leave_times_alone():
    data = sequences(0, dt=True)
    model = recurra.SequenceClassifier(
        cell=forgetful, inputs="numbers", hidden=5, layers=2, members=2, token_dropout=0.3,
        embedding_dropout=0.3,
    )  # fmt: skip
    model.fit(data, steps=4, batch=6, progress=False)
    assert model.files.config["inputs"]["mean"][2] == 0
    assert model.files.config["inputs"]["deviation"][2] == 1
    assert np.isfinite(model.predict_proba(data[0])).all()


def test_marks_are_features_of_cells_without_further_inputs():
    data = sequences(0.3)
    model = recurra.SequenceClassifier(cell="gru", missing="marked", **PLAIN)
    model.fit(data, steps=2, progress=False)
    assert model.files.tensors["rnn.weight_ih_l0"].shape == (18, 9)


@pytest.mark.parametrize(
    ("made", "more", "features", "message"),
    [
        (gru_d.gru_d_of_paper, {}, 6, "reads 6 further inputs, the last features of a sequence: "
         "expected more than 6 features, received 6"),
        (gru_d.gru_d_of_paper, {"missing": "marked"}, 2, "a step of 2 features has 2 marks and 2 "
         "times beside them: expected 4 further inputs"),
    ],
)  # fmt: skip
def test_features_that_do_not_fit(made, more, features, message):
    model = recurra.SequenceClassifier(cell=made, **PLAIN, **more)
    arrays = [np.zeros((3, features), np.float32)] * 8
    with pytest.raises(InputError, match=message) as caught:
        model.fit((arrays, list("abababab")), steps=1, progress=False)
    assert "\n" not in str(caught.value)


def test_texts_have_none():
    with pytest.raises(InputError, match=r"reads further inputs \(dt\), which the data of this"):
        recurra.SequenceClassifier(cell=forgetful)


def test_at_the_command_line(tmp_path):
    text = Path(__file__).read_text()
    start, end = text.index('@cell(states="h"'), text.index("def forgetful_step")
    (tmp_path / "my.py").write_text(
        "from recurra.cells import cell, exp, relu, sigmoid, tanh\n" + text[start:end]
    )
    arrays, labels = sequences(0, dt=True)
    lines = [f'{{"x": {a.tolist()}, "y": "{y}"}}' for a, y in zip(arrays, labels, strict=True)]
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    run = [sys.executable, "-m", "recurra"]
    subprocess.run(
        [*run, "train", "classify", "data.jsonl", "--inputs", "numbers", "--input-column", "x",
         "--label-column", "y", "--cells", "my.py", "--cell", "forgetful", "--hidden", "4",
         "--steps", "3", "--out", "run"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    done = subprocess.run(
        [*run, "predict", "run", "data.jsonl"], cwd=tmp_path, check=True, capture_output=True
    )
    assert len(done.stdout.decode().split("\n")) >= 24
