"""Compiled cells between processes: made once, used only where sound and the user's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recurra import native

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="the kernels are not compiled"),
    pytest.mark.skipif(os.name != "posix", reason="files and locks of POSIX"),
]

#: Defines a cell, asks for its kernels twice, compares them with the reference, and reports.
PROGRAM = f"""
import json, sys, warnings
sys.path[:0] = {sys.path!r}
import numpy as np
from recurra import native
from recurra.cells import cell, tanh
from recurra.runtime.layer import KernelLayer, NumpyLayer, on_kernels

@cell(states="h", gates="g")
def small(x, u, h, opt):
    return dict(h=tanh(x.g + 0.5 * u(h).g))

program = small.program()
draw = np.random.default_rng(0)
weights = {{
    p.name: draw.normal(size=p.shape(gates=1, inputs=3, hidden=5)).astype(np.float32)
    for p in program.parameters
}}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    found = [on_kernels(program, weights) for _ in range(2)]
    biasless = on_kernels(small.program(bias=False), weights)
x = draw.normal(size=(4, 2, 3)).astype(np.float32)
state = (np.zeros((2, 5), np.float32),)
same = None
if found[0]:
    y, _ = KernelLayer(program, weights, ()).run(x, state, None)
    same = bool(np.allclose(y, NumpyLayer(program, weights, ()).run(x, state, None)[0], atol=1e-6))
print(json.dumps(dict(
    found=found[0], same=same, told=[(w.category.__name__, str(w.message)) for w in told]
)))
"""

#: A compiler that notes that it was called to compile.
COMPILER = """#!/bin/sh
case "$*" in *-shared*) echo compiled >> {calls};; esac
exec c++ "$@"
"""


class Machine:
    """An environment of its own: a cache, a compiler whose calls are counted."""

    def __init__(self, root: Path) -> None:
        self.cache, self.calls = root / "cache", root / "calls"
        compiler = root / "compiler"
        compiler.write_text(COMPILER.format(calls=self.calls))
        compiler.chmod(0o755)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RECURRA_")},
            "CXX": str(compiler),
            "RECURRA_CACHE": str(self.cache),
        }

    def start(self, **changes: str | None) -> "subprocess.Popen[str]":
        environment = {k: v for k, v in {**self.environment, **changes}.items() if v is not None}
        command = [sys.executable, "-c", PROGRAM]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def run(self, **changes: str | None) -> dict:
        return self.result(self.start(**changes))

    @staticmethod
    def result(process: "subprocess.Popen[str]") -> dict:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        return json.loads(output)

    @property
    def compiled(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0

    @property
    def files(self) -> list[Path]:
        return sorted((self.cache / "cells").glob("*.so"))


GOOD = {"found": True, "same": True, "told": []}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def _full(tmp_path_factory):
    made = Machine(tmp_path_factory.mktemp("full"))
    assert made.run() == GOOD
    return made


@pytest.fixture
def filled(_full, machine):
    """A machine whose cache has the cell."""
    (machine.cache / "cells").mkdir(parents=True, mode=0o700)
    for path in (_full.cache / "cells").iterdir():
        copied = machine.cache / "cells" / path.name
        copied.write_bytes(path.read_bytes())
        copied.chmod(0o700)
    machine.environment["CXX"] = _full.environment["CXX"]
    machine.calls = _full.calls
    return machine


def test_the_second_process_finds_it(filled):
    before = filled.compiled
    assert before >= 1
    assert filled.run() == GOOD
    assert filled.compiled == before
    assert len(filled.files) == 1


def test_four_processes_at_once_make_one(machine):
    processes = [machine.start() for _ in range(4)]
    assert [machine.result(p) for p in processes] == [GOOD] * 4
    assert machine.compiled == 1
    assert [p.suffix for p in sorted((machine.cache / "cells").iterdir())] == [".sha256", ".so"]


def test_nobody_else_can_read_or_write_it(filled, machine):
    machine.cache = machine.cache.with_name("fresh")
    machine.run(RECURRA_CACHE=None, XDG_CACHE_HOME=str(machine.cache))
    place = machine.cache / "recurra" / "cells"
    assert place.stat().st_mode & 0o077 == 0
    assert all(p.stat().st_mode & 0o077 == 0 for p in place.iterdir())
    assert len(list(place.iterdir())) == 2


def test_without_a_compiler_there_is_one_notice(machine, tmp_path):
    (tmp_path / "empty").mkdir()
    found = machine.run(CXX=None, PATH=str(tmp_path / "empty"))
    assert not found["found"]
    # One for each of the two programs, asked for three times.
    assert [category for category, _ in found["told"]] == ["RecurraWarning"] * 2
    text = found["told"][0][1]
    assert text.startswith("cell small: the reference computes it")
    assert "no C++ compiler found (c++, g++, clang++): install one, or name yours in CXX" in text


def test_what_a_compiler_made_runs_without_it(filled):
    assert filled.run(CXX=None, PATH="/nowhere") == GOOD


def test_a_compiler_that_is_not_there(machine):
    ((_, text), _) = machine.run(CXX="/nowhere/c++ -O1")["told"]
    assert "CXX='/nowhere/c++ -O1' is no compiler here" in text


def test_a_compiler_that_fails(machine, tmp_path):
    failing = tmp_path / "failing"
    failing.write_text(
        '#!/bin/sh\ncase "$1" in --version) echo old 1.0;; '
        "*) echo 'cell.cpp:1: error: too new' >&2; exit 1;; esac\n"
    )
    failing.chmod(0o755)
    found = machine.run(CXX=str(failing))
    assert not found["found"]
    assert "old 1.0 failed (cell.cpp:1: error: too new)" in found["told"][0][1]
    assert not machine.files


def test_what_cannot_be_loaded(machine, tmp_path):
    compiler = tmp_path / "another"
    compiler.write_text(
        '#!/bin/bash\ncase "$1" in --version) echo other 1.0;; *) cp "$0" "${@: -1}";; esac\n'
    )
    compiler.chmod(0o755)
    found = machine.run(CXX=str(compiler))
    assert not found["found"]
    cache, *programs = [text for _, text in found["told"]]
    assert f"what is in {machine.cache / 'cells'} cannot be loaded" in cache
    assert len(programs) == 2


@pytest.mark.parametrize("name", ["RECURRA_COMPILE", "RECURRA_KERNELS"])
def test_off_is_off_without_a_word(machine, name):
    assert machine.run(**{name: "off"}) == {"found": False, "same": None, "told": []}
    assert not machine.cache.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove_record(path: Path) -> None:
    path.with_suffix(".sha256").unlink()


def empty_record(path: Path) -> None:
    path.with_suffix(".sha256").write_text("")


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, remove_record, empty_record])
def test_what_is_damaged_is_made_anew(filled, damage):
    (path,) = filled.files
    whole = path.read_bytes()
    before = filled.compiled
    damage(path)
    assert filled.run() == GOOD
    assert filled.compiled == before + 1
    assert len(path.read_bytes()) == len(whole)


def test_a_folder_that_others_can_write_to_is_not_used(filled):
    (path,) = filled.files
    content = path.read_bytes()
    for opened in (path, path.parent, filled.cache):
        opened.chmod(0o777)
        before = filled.compiled
        found = filled.run()
        opened.chmod(0o700)
        assert found["found"]
        assert found["same"]
        ((category, text),) = found["told"]
        assert category == "RecurraWarning"
        assert f"can write to {opened}" in text
        assert filled.compiled > before  # each of two programs, for this process alone
        assert path.read_bytes() == content


def test_a_cache_that_cannot_be_written(machine):
    machine.cache.write_text("a file where the folder should be")
    found = machine.run()
    assert found["found"]
    assert found["same"]
    ((_, text),) = found["told"]
    assert "compiled cells are not kept" in text
    assert "RECURRA_CACHE" in text
