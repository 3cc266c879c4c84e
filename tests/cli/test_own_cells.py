"""`--cells FILE.py`: cells of one's own in every verb that trains; the others need no file."""

import json
import subprocess
import sys

import pytest

from recurra.cli import main

DEFINITION = """
from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="f n", options="gain=one|two")
def told_cell(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    n = tanh(x.n + u(f * h).n)
    return dict(f=f, n=n, h=(1 - f) * h + f * n * (2.0 if opt.gain == "two" else 1.0))
"""
QUICK = ["--steps", "2", "--threads", "1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(DEFINITION)
    (tmp_path / "data.conll").write_text("the DET\ncat NN\n\na DET\ndog NN\n\n" * 30)
    (tmp_path / "corpus.txt").write_text("the cat sat on the mat.\n" * 60)
    return tmp_path


def recurra(*arguments):
    """The command in a process of its own, which defines nothing."""
    command = [sys.executable, "-m", "recurra", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_train_and_the_verbs_after_it(folder):
    cells = ["--cells", "my.py", "--cell", "told_cell", "--cell-options", "gain=two"]
    done = recurra("train", "tag", "data.conll", *cells, *QUICK, "--out", "tags", "--hidden", "4")
    assert done.returncode == 0, done.stderr
    done = recurra(
        "train", "lm", "corpus.txt", *cells, *QUICK, "--out", "lm", "--hidden", "4", "--json"
    )
    assert done.returncode == 0, done.stderr
    (folder / "my.py").unlink()
    after = [
        ("predict", "tags", "data.conll"),
        ("evaluate", "tags", "data.conll"),
        ("generate", "lm", "the ", "--max-tokens", "5"),
        ("evaluate", "lm", "corpus.txt"),
        ("export", "lm", "--out", "lm.onnx"),
    ]
    for words in after:
        done = recurra(*words)
        assert done.returncode == 0, done.stderr


def test_compare(folder):
    arguments = ["compare", "tag", "data.conll", "--test", "data.conll", "--models"]
    own = ["told_cell,gru", "--cells", "my.py", "--hidden", "4", "--out", "c", *QUICK, "--json"]
    done = recurra(*arguments, *own)
    assert done.returncode == 0, done.stderr
    models = [row["model"] for row in json.loads(done.stdout)["models"]]
    assert sorted(models) == ["gru", "told_cell"]
    text = (folder / "my.py").read_text()
    (folder / "my.py").write_text(text.replace("tanh(", "0.5 * tanh("))
    done = recurra(*arguments, *own)
    assert done.returncode == 2
    assert "told_cell" in done.stderr


BAD = {
    "no such file": (["absent.py"], "", "no such file: give the Python file that defines a cell"),
    "no cell": (["my.py"], "x = 1\n", "expected a file that defines a cell with @cell"),
    "a syntax error": (["my.py"], "x = = 1\n", "line 1: invalid syntax"),
    "a failure": (["my.py"], "\nx = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
    "a bad cell": (
        ["my.py"],
        DEFINITION.replace("x.n +", "x.q +"),
        "cell told_cell, line 8: the cell has no gate 'q'",
    ),
    "no Python": (["corpus.txt"], "", "whose name ends in .py"),
}


@pytest.mark.parametrize("row", BAD)
def test_what_defines_no_cell_is_one_line(row, folder, capsys):
    files, source, message = BAD[row]
    if source:
        (folder / "my.py").write_text(source)
    arguments = ["train", "tag", "data.conll", "--cell", "told_cell", *QUICK]
    for file in files:
        arguments += ["--cells", file]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_cell_that_is_not_defined_names_the_option(folder, capsys):
    assert main(["train", "tag", "data.conll", "--cell", "unheard", *QUICK]) == 2
    assert "--cells FILE.py" in capsys.readouterr().err
