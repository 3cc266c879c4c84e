"""Models of the past still work: what they answered then, they answer now (see make.py)."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import recurra
from golden.outputs import DIRECTORIES, FIXED, HERE, ISA, MODELS, NEEDS, ask, processor
from golden.runs import RUNS
from recurra import native

#: Models that have some numbers in a `bits.npz` were recorded when products went through numpy's
#: BLAS, so that last bits depended on what else was in a call and on the processor's BLAS kernels.
#: These are their bits since each row stands for itself; the numbers recorded first hold to 1e-6.
BITS = "bits.npz"


def fixed(*words):
    """Run a module of this folder with the kernels of one instruction set, in one thread."""
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **FIXED, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def needs_the_same_processor(name):
    where = json.loads((HERE / name / "where.json").read_text())
    here = {"isa": ISA, **processor()}
    if where != here or ISA not in native.isas():
        pytest.skip(f"bits were not compared: recorded on {where}, this is {here}")


def recorded(name, numbers="numbers.npz"):
    facts = json.loads((HERE / name / "facts.json").read_text(encoding="utf-8"))
    with np.load(HERE / name / numbers) as file:
        return facts, {key: file[key] for key in file.files}


@pytest.mark.parametrize("name", MODELS)
def test_it_answers_as_it_did(name):
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"not asked: {NEEDS[name]} is not installed")
    facts, numbers = recorded(name)
    now, found = ask(name)
    assert now == facts
    assert found.keys() == numbers.keys()
    for key, wanted in numbers.items():
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        assert found[key].shape == wanted.shape
        np.testing.assert_allclose(found[key], wanted, rtol=0, atol=1e-6 * scale, err_msg=key)


@pytest.fixture(scope="module")
def bits(tmp_path_factory):
    """The numbers of all, under one instruction set."""
    path = tmp_path_factory.mktemp("bits") / "numbers.npz"
    fixed("golden.outputs", path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize("name", MODELS)
def test_every_bit_is_the_same_under_one_instruction_set(name, request):
    needs_the_same_processor(name)
    found = request.getfixturevalue("bits")
    numbers = recorded(name)[1]
    if (HERE / name / BITS).exists():
        numbers |= recorded(name, BITS)[1]
    for key, wanted in numbers.items():
        now = found[f"{name}/{key}"]
        assert now.dtype == wanted.dtype
        assert now.tobytes() == wanted.tobytes(), key


@pytest.mark.parametrize("name", DIRECTORIES)
def test_it_saves_the_same_bytes(name, tmp_path):
    before = HERE / name / "model"
    recurra.load(before).save(tmp_path / "model")
    names = sorted(path.name for path in before.iterdir())
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == names
    for file in names:
        assert (tmp_path / "model" / file).read_bytes() == (before / file).read_bytes(), file


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_on_where_it_was_stopped(name, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(HERE / name / "run", run)
    model, wanted = RUNS[name](run), recurra.load(HERE / name / "model")
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 16
    for key, tensor in wanted.files.tensors.items():
        np.testing.assert_allclose(model.files.tensors[key], tensor, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_goes_on_ends_with_the_same_bits(name, tmp_path):
    needs_the_same_processor(name)
    shutil.copytree(HERE / name / "run", tmp_path / "run")
    fixed("golden.runs", name, tmp_path / "run")
    model, wanted = recurra.load(tmp_path / "run"), recurra.load(HERE / name / "model")
    for key, tensor in wanted.files.tensors.items():
        assert model.files.tensors[key].tobytes() == tensor.tobytes(), key


def test_everything_recorded_is_asked():
    folders = {path.name for path in HERE.iterdir() if path.is_dir()} - {"inputs", "__pycache__"}
    assert folders == {*MODELS, *RUNS}
