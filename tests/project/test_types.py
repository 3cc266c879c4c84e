"""Type checkers know the settings of each task by name and by kind."""

import subprocess
import sys

import pytest

from conftest import ROOT
from recurra.tasks.catalog import ENTRIES

HEAD = ["from pathlib import Path", "import recurra"]
RIGHT = """
from recurra import {cls}
model = {cls}(hidden=3, init="orthogonal", layers=2)
model.set_params(lr=0.1).fit("data", epochs=3, lr=0.1, batch=4, out=Path("run"), progress=False)
steps: int = {cls}(epochs=3, progress=False).fit("X", "y", warm_start=True).fit_result_.steps
{cls}.load("run").evaluate("data")
again: {cls} = recurra.load("run", expect={cls})
"""
WRONG = {
    '{cls}(lr="high")': 'expected "float | None"',
    "{cls}(hiden=3)": 'Unexpected keyword argument "hiden"',
    '{cls}(init="ortho")': 'expected "Literal[',
    '{cls}(hidden="3")': 'expected "int"',
    '{cls}().fit("data", epoch=3)': 'Unexpected keyword argument "epoch"',
    '{cls}().evaluate("data", hasty=True)': 'Unexpected keyword argument "hasty"',
}


def checked(path):
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("typed")
    lines = list(HEAD)
    for entry in ENTRIES:
        inside = RIGHT.format(cls=entry.model).strip().splitlines()
        inside += [line.format(cls=entry.model) for line in WRONG]
        lines += [f"def {entry.word}() -> None:", *(f"    {line}" for line in inside)]
    path = folder / "typed.py"
    path.write_text("\n".join(lines) + "\n")
    return [line.strip() for line in lines], checked(path).splitlines()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.word)
@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_an_error(entry, line, told):
    lines, errors = told
    number = lines.index(line.format(cls=entry.model)) + 1
    found = [text for text in errors if f"typed.py:{number}: error" in text]
    assert any(WRONG[line] in text for text in found), found


def test_nothing_else_is(told):
    lines, errors = told
    wrong = {line.format(cls=entry.model) for entry in ENTRIES for line in WRONG}
    numbers = {int(text.split(":")[1]) for text in errors if ": error:" in text}
    assert {lines[number - 1] for number in numbers} == wrong
