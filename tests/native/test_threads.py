"""Threads of the kernels: torch's where torch is, their own elsewhere; results the same on any."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from native.cases import Case, Problem
from recurra import native
from recurra.cells import definition
from recurra.nn import LSTM

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

PROGRAM = definition.find("lstm").program()
CASE = Case(steps=9, batch=7, hidden=70, threads=2, dtype=torch.float32)
LIBRARY = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"


@pytest.fixture(params=["torch's", "their own"])
def threads(request):
    """Every test, on both kinds of threads; a library that is not loaded has none to share."""
    if request.param == "torch's":
        if not native.share_threads(str(LIBRARY)):
            pytest.skip("torch was built without OpenMP")
    else:
        assert not native.share_threads("/nowhere.so")
        if native.share_threads(sys.executable):
            pytest.skip("the interpreter itself has OpenMP")
    yield request.param
    native.share_threads(str(LIBRARY))


def alone():
    return Problem.of(PROGRAM, CASE.but(threads=1)).run()


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("batch", [CASE.batch, 17])
@pytest.mark.parametrize("count", [2, 3, 8])
def test_results_are_those_of_one_thread(threads, count, batch):
    case = CASE.but(batch=batch)
    one = Problem.of(PROGRAM, case.but(threads=1)).run()
    for _ in range(3):
        assert_same(Problem.of(PROGRAM, case.but(threads=count)).run(), one)


def test_calls_from_many_threads(threads):
    problem, expected = Problem.of(PROGRAM, CASE), alone()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: problem.run(), range(40)):
            assert_same(found, expected)


def test_torch_computes_meanwhile(threads):
    problem, expected = Problem.of(PROGRAM, CASE), alone()
    matrix = torch.eye(300)

    def product(_):
        return torch.equal(matrix @ matrix, matrix)

    with ThreadPoolExecutor(4) as pool:
        products = pool.map(product, range(20))
        for found in pool.map(lambda _: problem.run(), range(20)):
            assert_same(found, expected)
        assert all(products)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process(threads):
    problem, expected = Problem.of(PROGRAM, CASE), alone()
    problem.run()  # the threads are there
    child = os.fork()
    if child == 0:
        found = problem.run()
        os._exit(0 if all(torch.equal(found[n], v) for n, v in expected.items()) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert_same(problem.run(), expected)


def test_torchs_number_of_threads_changes_no_bit(threads):
    torch.manual_seed(0)
    layer, x = LSTM(33, 70, 2), torch.randn(9, 7, 33)
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3, 2):
            torch.set_num_threads(count)
            layer.zero_grad()
            layer(x)[0].square().sum().backward()
            found.append([p.grad.clone() for p in layer.parameters()])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(map(torch.equal, other, found[0]))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_workers_of_a_loader_run_layers(threads):
    """Forked children of torch's own, which have one thread each."""
    torch.manual_seed(0)
    layer = LSTM(8, 70).requires_grad_(False)
    xs = [torch.randn(5, 3, 8) for _ in range(4)]
    expected = [layer(x)[0] for x in xs]
    loader = torch.utils.data.DataLoader(
        xs,
        num_workers=2,
        collate_fn=lambda items: layer(items[0])[0],
        multiprocessing_context="fork",
    )
    assert all(map(torch.equal, loader, expected))


def test_a_process_without_torch():
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
sys.modules["torch"] = None
import numpy as np
from recurra import native
from recurra.cells import definition
program = definition.find("gru").program()
sizes = dict(gates=3, inputs=9, hidden=70)
draw = np.random.default_rng(0)
weights = [draw.normal(size=p.shape(**sizes)).astype("f") for p in program.parameters]
x, found = draw.normal(size=(6, 5, 9)).astype("f"), []
for threads in (1, 2, 3):
    y, last = np.empty((6, 5, 70), "f"), np.empty((5, 70), "f")
    native.forward(native.Inputs(program, x, weights, [None], threads=threads), y, [last])
    found.append(y)
print(all((y == found[0]).all() for y in found), bool((found[0] != 0).all()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True True\n", done.stderr
