"""Calls of one step read their weights where they are: with the bits of weights put in order."""

import pytest
import torch

from native.cases import Case, Problem, compare
from native.own import PROGRAMS as OWN
from native.test_kernels import PROGRAMS, WITHOUT_BIAS
from recurra import native
from recurra.cells.emit import key

pytestmark = pytest.mark.skipif(not native.available(), reason="not run: no kernels here")

ALL = [*PROGRAMS, *WITHOUT_BIAS, *list(OWN.values())[:4]]
ONE = Case(steps=1, dtype=torch.float32)
CASES = {
    "one row": ONE.but(batch=1),
    "float64": ONE.but(dtype=torch.float64),
    "two rows, whole vectors": ONE.but(batch=2, hidden=48, inputs=32, projection=16),
    "rows left over": ONE.but(batch=11, hidden=33, inputs=37, projection=17),
    "more rows than are read in place": ONE.but(batch=12, hidden=33),
    "many columns": ONE.but(batch=1, hidden=40, inputs=1300),
    "fewer than a vector": ONE.but(hidden=3, inputs=1, projection=2),
    "threads": ONE.but(batch=4, hidden=70, projection=33, threads=3),
    "a mask": ONE.but(masked="gaps", batch=5, dropout=True, zoneout="share"),
    "reverse, misaligned": ONE.but(reverse=True, layout="odd", batch=3),
    "no initial state": ONE.but(given=False, batch=1),
}


@pytest.fixture(params=native.isas())
def isa(request):
    before = native.isa()
    native.use_isa(request.param)
    yield request.param
    native.use_isa(before)


@pytest.mark.parametrize("program", ALL, ids=key)
def test_equal_to_ordered_weights_to_the_bit(isa, program):
    for name, case in CASES.items():
        problem = Problem.of(program, case)
        packed = native.Packed(program, problem.parameters)
        found, ordered = problem.run(), problem.run(packed=packed)
        for what, value in ordered.items():
            assert torch.equal(found[what], value), f"{name}: {what}"
        compare(found, problem.expected(), case.dtype)


@pytest.mark.parametrize("program", ALL, ids=key)
def test_equal_to_a_longer_call_whose_other_steps_do_not_count(isa, program):
    """A call of two steps puts its weights in order, also those of its backward pass."""
    for name, case in CASES.items():
        if case.masked or case.batch > 11:
            continue
        short = Problem.of(program, case)
        long = Problem.of(program, case.but(steps=2))
        long.x[0], long.x[1] = short.x[0], 0.0
        long.parameters, long.initial = short.parameters, short.initial
        long.valid = torch.tensor([[True] * case.batch, [False] * case.batch])
        dy, dlast = short.gradients()
        twice = torch.cat([dy, torch.zeros_like(dy)])
        found, expected = short.run(gradients=(dy, dlast)), long.run(gradients=(twice, dlast))
        for what, value in found.items():
            time = what in ("y", "dx") or what.startswith("dstate")
            assert torch.equal(value, expected[what][:1] if time else expected[what]), (name, what)


FRESH = {
    **CASES,
    "several chunks": Case(steps=700, batch=1, dtype=torch.float32),
    "several ranges": Case(steps=40, batch=11, dtype=torch.float32, threads=2),
    "halves of the rows": Case(steps=30, batch=25, dtype=torch.float32, threads=2),
    "no step": Case(steps=0),
    "no row": Case(batch=0),
}


@pytest.mark.parametrize("program", ALL, ids=key)
def test_gradients_written_are_those_added_to_zeros(program):
    for name, case in FRESH.items():
        problem = Problem.of(program, case)
        added, written = problem.run(), problem.run(fresh=True)
        for what, value in added.items():
            assert torch.equal(written[what], value), f"{name}: {what}"
