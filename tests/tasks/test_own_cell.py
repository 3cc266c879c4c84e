"""A cell of one's own in every task: trained, saved, and run where nobody has its definition."""

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import recurra
from recurra.cells import cell, find, sigmoid, tanh
from recurra.cells.definition import Cell
from recurra.errors import FormatError, InputError
from tasks import classified, tagged, tones
from tasks.texts import prose


@cell(states="h", gates="f n", init={"f": 1.0}, options="norm gain=one|two")
def task_cell(x, u, h, opt):
    a, b = opt.norm(x), opt.norm(u(h))
    f = sigmoid(a.f + b.f)
    n = tanh(a.n + opt.norm(u(f * h)).n)
    h = (1 - f) * h + f * n * (2.0 if opt.gain == "two" else 1.0)
    return dict(f=f, n=n, h=h)


QUICK = {"steps": 2, "batch": 4, "threads": 1, "progress": False}
SERIES = "[np.sin(np.arange(60) / 3) + k for k in range(2)]"
#: Class, its settings, what it is fitted on, and what is asked of it, an expression of `m`.
TASKS = {
    "language_model": (
        recurra.LanguageModel,
        {"hidden": 6, "embedding": 4},
        lambda folder: text(folder),
        "m.evaluate(text='the cat sees a dog').nats, m.generate('the ', seed=1, max_tokens=9).text",
    ),
    "sequence_classifier": (
        recurra.SequenceClassifier,
        {"hidden": 4, "embedding": 4},
        lambda folder: classified.reviews(40),
        "m.predict_proba(['a fine one', 'dull']).tolist()",
    ),
    "sequence_tagger": (
        recurra.SequenceTagger,
        {"hidden": 4, "embedding": 4, "character_hidden": 4},
        lambda folder: tagged.places(30, seed=0),
        "m.predict([['we', 'were', 'Here']])[0]",
    ),
    "forecaster": (
        recurra.Forecaster,
        {"horizon": 3, "lookback": 6, "hidden": 4},
        lambda folder: eval(SERIES),
        f"m.predict({SERIES})[0].mean.tolist()",
    ),
    "translator": (
        recurra.Translator,
        {"source_tokenizer": "char", "target_tokenizer": "char", "hidden": 4, "layers": 2},
        lambda folder: [(f"a{k}", f"{k}b") for k in range(30)],
        "m.predict('a1', beams=2).logprob",
    ),
    "transcriber": (
        recurra.Transcriber,
        {**tones.TINY, "hidden": 4},
        lambda folder: tones.recordings(12),
        "m.predict(Sound(np.sin(np.arange(8000) / 3).astype('float32'), 8000))[0].score",
    ),
}
#: What a process does that has neither the definition nor torch, and, where a compiler is missing
#: or forbidden, no kernels of the cell.
ELSEWHERE = """
import sys
sys.modules["torch"] = None
import numpy as np, recurra
from recurra.tasks.transcriber.wav import Sound
m = recurra.load(sys.argv[1])
print(repr(({asked},)))
m.save(sys.argv[2])
from recurra import cells
assert "task_cell" not in cells.names()
"""


def text(folder):
    path = folder / "corpus.txt"
    path.write_text(prose(300))
    return path


def fitted(task, folder, **settings):
    make, usual, data, _ = TASKS[task]
    model = make(**{"cell": task_cell, **usual, **settings})
    model.fit(data(folder), seed=1, **QUICK)
    return model


def answers(model, task):
    from recurra.tasks.transcriber.wav import Sound

    return repr(eval(f"({TASKS[task][3]},)", {"m": model, "np": np, "Sound": Sound}))


def elsewhere(task, *arguments, environment=None):
    code = ELSEWHERE.format(asked=TASKS[task][3])
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("task", TASKS)
def test_a_model_runs_where_its_cell_is_not_defined(task, tmp_path):
    norm = task in ("language_model", "sequence_tagger")
    model = fitted(task, tmp_path, layer_norm=norm, cell_options="gain=two")
    model.save(tmp_path / "model")
    assert elsewhere(task, tmp_path / "model", tmp_path / "copy") == answers(model, task)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "copy" / name).read_bytes()
    again = recurra.load(tmp_path / "copy")
    assert answers(again, task) == answers(model, task)
    assert find(again.config.cell) is task_cell
    for copied in (copy.deepcopy(again), pickle.loads(pickle.dumps(again))):
        assert answers(copied, task) == answers(model, task)


@pytest.mark.parametrize("task", TASKS)
def test_a_registered_name_stands_for_it(task):
    make, settings, _, _ = TASKS[task]
    model = make(cell="task_cell", **settings)
    assert find(model.config.cell) is task_cell
    assert "task_cell" in repr(model)
    with pytest.raises(InputError, match=r"cell must be one of .*received 'task_gate'.*--cells"):
        make(cell="task_gate", **settings)
    with pytest.raises(InputError, match=r"peephole: the cell task_cell has no option peephole"):
        make(cell=task_cell, peephole=True, **settings)
    with pytest.raises(InputError, match="gain: expected 'one' or 'two', received 'ten'"):
        make(cell=task_cell, cell_options={"gain": "ten"}, **settings)


def test_without_kernels_the_reference_runs_it(tmp_path, monkeypatch):
    model = fitted("language_model", tmp_path)
    model.save(tmp_path / "model")
    monkeypatch.setenv("RECURRA_KERNELS", "off")
    found = elsewhere("language_model", tmp_path / "model", tmp_path / "copy")
    nats, written = eval(found)
    assert nats == pytest.approx(model.evaluate(text="the cat sees a dog").nats, rel=1e-5)
    assert written == model.generate("the ", seed=1, max_tokens=9).text


def test_a_trained_model_goes_on_and_starts_others_without_the_definition(tmp_path):
    fitted("language_model", tmp_path, tokenizer="word").save(tmp_path / "model")
    code = (
        "import sys, recurra\n"
        "m = recurra.load(sys.argv[1])\n"
        "m.fit(sys.argv[2], steps=2, batch=4, threads=1, progress=False)\n"
        "t = recurra.SequenceTagger(hidden=4)\n"
        "data = [(['the', 'cat'], ['D', 'N'])] * 20\n"
        "t.fit(data, pretrained=sys.argv[1], steps=2, threads=1, progress=False)\n"
        "print(t.config.cell, recurra.LanguageModel(cell=m.config.cell))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, tmp_path / "model", text(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("task_cell <LanguageModel: char, task_cell")


def test_a_definition_of_other_equations_is_refused(tmp_path):
    fitted("language_model", tmp_path).save(tmp_path / "model")
    (tmp_path / "theirs.py").write_text(
        "from recurra.cells import cell, sigmoid\n\n\n"
        '@cell(states="h", gates="f n", options="norm gain=one|two")\n'
        "def task_cell(x, u, h, opt):\n"
        "    f = sigmoid(opt.norm(x).f + opt.norm(u(h)).f)\n"
        "    n = 0.5 * x.n if opt.gain == 'two' else x.n\n"
        "    return dict(f=f, n=n, h=(1 - f) * h + f * n)\n"
    )
    code = "import recurra, theirs\nrecurra.load('model')\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("recurra.errors.FormatError: config.json: the cell 'task_cell' that it")
    assert "has n = tanh(x.n + u(f * h).n), and the definition here (theirs.py, line 4)" in last
    assert "has n = x.n: import the right one" in last


def test_a_run_is_not_continued_with_other_equations(tmp_path):
    def make(factor):
        def drifting(x, u, h, opt):
            return dict(h=tanh(x.g + factor * u(h).g))

        return Cell(drifting, states="h", gates="g")

    path = text(tmp_path)

    def run(factor, **more):
        model = recurra.LanguageModel(cell=make(factor), hidden=4, embedding=4)
        return model.fit(path, out=tmp_path / "run", **QUICK, **more)

    run(0.5)
    run(0.5)
    with pytest.raises(InputError, match="the equations of the cell changed"):
        run(0.75)
    run(0.75, fresh=True)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["identity"]["program"]["name"] == "drifting"


def test_a_name_of_the_package_is_refused():
    def lstm(x, u, h, opt):
        return dict(h=tanh(x.g + u(h).g))

    with pytest.raises(InputError, match="the package's own cells: rename yours"):
        recurra.LanguageModel(cell=Cell(lstm, states="h", gates="g"))


def test_a_damaged_program_is_refused(tmp_path):
    model = fitted("language_model", tmp_path)
    files = model.files
    for change in ({"version": 9}, {"nodes": []}, {"name": "gru"}):
        config = copy.deepcopy(files.config)
        config["architecture"]["program"] |= change
        with pytest.raises(FormatError, match=r'^config\.json, "architecture", "program": '):
            type(model).from_files(recurra.storage.ModelFiles(**{**vars(files), "config": config}))


def test_built_in_cells_are_written_as_before(tmp_path):
    model = recurra.LanguageModel(hidden=4, embedding=4, cell="gru", reset="before")
    model.fit(text(tmp_path), **QUICK)
    config = model.files.config
    assert config["architecture"] == {
        "cell": "gru",
        "layers": 1,
        "residual": False,
        "zoneout": [0.0],
        "options": {"activation": "tanh", "norm": False, "reset": "before"},
    }
    assert "cell_options" not in config["model"]
