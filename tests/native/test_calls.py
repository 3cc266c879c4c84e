"""What a process does with the kernels: instruction sets by the environment, calls from threads."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from native.cases import Case, Problem
from recurra import native
from recurra.cells import definition
from recurra.errors import InputError

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

LSTM = definition.find("lstm").program()


def ask(isa: str) -> "subprocess.CompletedProcess[str]":
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; from recurra import native; print(native.isa())"
    )
    environment = {**os.environ, "RECURRA_ISA": isa}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("isa", native.isas())
def test_environment_names_the_instruction_set(isa: str):
    assert ask(isa).stdout == f"{isa}\n"


def test_unknown_instruction_set():
    done = ask("v9")
    assert "instruction set 'v9': expected one that runs here" in done.stderr
    with pytest.raises(InputError, match="'v9'"):
        native.use_isa("v9")


def test_best_is_the_default():
    assert ask("").stdout == f"{native.isas()[0]}\n"


def test_calls_from_many_threads():
    problem = Problem.of(LSTM, Case(steps=20, batch=5, hidden=40, threads=2, dtype=torch.float32))
    expected = problem.run()
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: problem.run(), range(40)):
            for name, value in expected.items():
                assert torch.equal(found[name], value), name


def test_a_forked_process_has_threads_of_its_own():
    problem = Problem.of(LSTM, Case(hidden=40, threads=2, dtype=torch.float32))
    expected = problem.run(training=False)["y"]
    child = os.fork()
    if child == 0:
        same = torch.equal(problem.run(training=False)["y"], expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
