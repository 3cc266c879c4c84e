"""Inputs that tokens choose, against the same inputs in full: outputs to the bit, all gradients."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from native.cases import TOLERANCE, Case, Problem
from native.test_kernels import PROGRAMS, WITHOUT_BIAS, program
from recurra import native
from recurra.cells import Program
from recurra.cells.emit import key

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

WITHOUT_NORM = [p for p in PROGRAMS + WITHOUT_BIAS if not p.option("norm")]
EACH = pytest.mark.parametrize("program", WITHOUT_NORM, ids=key)

PLAIN = Case()
HALF = PLAIN.but(dtype=torch.float32, half=True)
CASES = {
    "plain": PLAIN,
    "float32": PLAIN.but(dtype=torch.float32),
    "one row": PLAIN.but(batch=1),
    "one step": PLAIN.but(steps=1),
    "no step": PLAIN.but(steps=0),
    "no row": PLAIN.but(batch=0),
    "one unit": PLAIN.but(hidden=1, inputs=1, projection=1),
    "whole vectors": PLAIN.but(hidden=32, inputs=16, projection=16, batch=17),
    "some chunks": PLAIN.but(steps=21, batch=60),
    "lengths": PLAIN.but(masked="lengths", batch=6),
    "gaps, reverse": PLAIN.but(masked="gaps", batch=6, reverse=True),
    "noise": PLAIN.but(dropout=True, zoneout="draw"),
    "bfloat16": HALF,
    "bfloat16, rows beyond a tile": HALF.but(batch=18, hidden=40, inputs=33),
    "bfloat16, some chunks, gaps": HALF.but(steps=21, batch=60, masked="gaps", hidden=16),
}


@dataclass
class Read:
    """A problem, with the rows (V, I) that its tokens (T, B) choose."""

    problem: Problem
    rows: Tensor
    tokens: Tensor

    @staticmethod
    def of(program: Program, case: Case, symbols: int = 9) -> "Read":
        problem, draw = Problem.of(program, case), torch.Generator().manual_seed(5)
        shape = symbols, case.inputs
        rows = torch.randn(shape, generator=draw, dtype=torch.float64).to(case.dtype)
        tokens = torch.randint(symbols, (case.steps, case.batch), generator=draw)
        problem.x = rows[tokens]
        return Read(problem, rows, tokens)

    def run(self, *, dense: bool, training: bool = True) -> dict[str, Tensor]:
        problem = self.problem
        inputs = problem.inputs()
        if not dense:
            inputs = inputs._replace(x=self.rows, tokens=self.tokens)
        y, last = problem.empty()
        saved = problem.nothing(native.saved_size(inputs)) if training else None
        native.forward(inputs, y, last, saved=saved)
        found = {"y": y, **{f"last {k}": s for k, s in enumerate(last)}}
        if saved is None:
            return found
        dy, dlast = problem.gradients()
        dx = problem.nothing(*inputs.x.shape)
        dparameters = [torch.zeros_like(p) for p in problem.parameters]
        dinitial = [problem.nothing(*s.shape) for s in problem.initial]
        native.backward(
            inputs, y, saved, dy, dlast, dx=dx, dparameters=dparameters, dinitial=dinitial
        )
        if dense:
            each, dx = dx.flatten(0, 1).double(), torch.zeros_like(self.rows).double()
            dx.index_add_(0, self.tokens.flatten(), each)
        names = [f"d{p.name}" for p in problem.program.parameters]
        found |= {"dx": dx, **dict(zip(names, dparameters, strict=True))}
        return found | {f"dinitial {k}": s for k, s in enumerate(dinitial)}


@pytest.fixture(autouse=True)
def _restore_isa():
    before = native.isa()
    yield
    native.use_isa(before)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@EACH
def test_equals_inputs_in_full(program: Program, case: Case):
    if case.half and not native.half_products():
        pytest.skip("a processor without AVX512-BF16 and AMX")
    read = Read.of(program, case)
    for isa in native.isas()[:1] if case.half else native.isas():
        native.use_isa(isa)
        dense, found = read.run(dense=True), read.run(dense=False)
        for name, value in read.run(dense=False, training=False).items():
            assert torch.equal(value, found[name]), f"{isa}, {name} without a backward pass"
        for name, value in found.items():
            # Sums by token before the product, not after it: in another order, and in bfloat16
            # rounded once a token.
            if name in ("dx", "dweight_ih"):
                want = dense[name].double()
                within = 1e-2 if case.half else TOLERANCE[case.dtype]
                distance = float((value.double() - want).norm())
                assert distance <= within * float(want.norm()) + 1e-12, f"{isa}, {name}"
            else:
                assert torch.equal(value, dense[name]), f"{isa}, {name}"
        two = Read.of(program, case.but(threads=2)).run(dense=False)
        for name, value in found.items():
            assert torch.equal(two[name], value), f"{isa}, {name} on two threads"


@EACH
def test_rows_that_no_token_chooses_have_no_gradient(program: Program):
    read = Read.of(program, PLAIN)
    read.tokens = torch.where(read.tokens == 3, 4, read.tokens)
    dx = read.run(dense=False)["dx"]
    assert torch.equal(dx[3], torch.zeros_like(dx[3]))
    assert bool((dx[4] != 0).any())


@EACH
def test_rows_may_lie_apart(program: Program):
    read = Read.of(program, PLAIN)
    expected = read.run(dense=False)
    wide = torch.full((9, 12), torch.nan, dtype=torch.float64)
    wide[:, 2:9] = read.rows
    read.rows = wide[:, 2:9]
    for name, value in read.run(dense=False).items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@EACH
def test_a_packed_table_steps_as_rows_do(program: Program, half: bool):
    if half and not native.half_products():
        pytest.skip("a processor without AVX512-BF16 and AMX")
    read = Read.of(program, PLAIN.but(dtype=torch.float32, half=half, batch=18, hidden=33))
    problem, whole = read.problem, read.run(dense=True, training=False)
    packed = native.Packed(program, problem.parameters, half=half, table=read.rows)
    by_token = by_row = [s.numpy() for s in problem.initial]
    for t in range(problem.case.steps):
        by_token = packed.step_tokens(read.tokens[t].numpy(), by_token, [], 1)
        by_row = packed.step(problem.x[t].numpy(), by_row, [], 1)
        for one, other in zip(by_token, by_row, strict=True):
            assert (one == other).all()
        assert torch.equal(torch.from_numpy(by_token[0]), whole["y"][t])


def test_a_packed_table_checks_its_tokens():
    read = Read.of(program("lstm"), PLAIN.but(dtype=torch.float32))
    packed = native.Packed(program("lstm"), read.problem.parameters, table=read.rows)
    states = [s.numpy() for s in read.problem.initial]
    for wrong in (-1, 9, 1 << 40):
        tokens = read.tokens[0].clone()
        tokens[1] = wrong
        with pytest.raises((ValueError, IndexError), match="token"):
            packed.step_tokens(tokens.numpy(), states, [], 1)
