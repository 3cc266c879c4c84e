"""Products in bfloat16, by AMX's tiles and by dot products, of every program with every option.

The judge is the reference in float64 with the arguments and weights of every product rounded to
bfloat16, forward and backward: only the order of sums differs.
"""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from native.cases import Case, Problem
from native.rounded import linear
from native.test_kernels import PROGRAMS, WITHOUT_BIAS, program
from recurra import native
from recurra.cells import Program
from recurra.cells.emit import key

pytestmark = pytest.mark.skipif(
    not native.half_products(), reason="no kernels, or a processor without AVX512-BF16 and AMX"
)

#: Relative to the norm of an array. Sums in float32 and another order are off by some 1e-7; now and
#: then that makes a state or gradient round the other way, which is 2^-8 of one value, and the
#: steps that follow see it.
TOLERANCE = 3e-3

PLAIN = Case(dtype=torch.float32, half=True)
CASES = {
    "plain": PLAIN,
    "whole tiles": PLAIN.but(hidden=64, inputs=32, projection=32, batch=16),
    "whole vectors, half a tile": PLAIN.but(hidden=48, inputs=16, projection=16),
    "rows beyond a tile": PLAIN.but(batch=17, hidden=40, inputs=33, projection=20),
    "odd sizes": PLAIN.but(hidden=33, inputs=21, projection=17),
    "one row": PLAIN.but(batch=1),
    "one step": PLAIN.but(steps=1),
    "one unit": PLAIN.but(hidden=1, inputs=1, projection=1),
    "no step": PLAIN.but(steps=0),
    "no row": PLAIN.but(batch=0),
    "more steps than a gradient's range": PLAIN.but(
        steps=40, batch=18, hidden=16, masked="lengths", dropout=True
    ),
    "gaps": PLAIN.but(masked="gaps", batch=6),
    "lengths, reverse": PLAIN.but(masked="lengths", batch=6, reverse=True),
    "recurrent dropout": PLAIN.but(dropout=True),
    "zoneout, mean": PLAIN.but(zoneout="share"),
    "zoneout, drawn": PLAIN.but(zoneout="draw"),
    "neither contiguous nor aligned": PLAIN.but(layout="loose"),
    "every array misaligned": PLAIN.but(layout="odd", hidden=32, inputs=16, projection=16),
    "no initial state": PLAIN.but(given=False),
    "all at once": PLAIN.but(
        zoneout="draw", masked="gaps", dropout=True, reverse=True, batch=19, hidden=50
    ),
}


def drawn(program: Program, case: Case) -> Problem:
    """A problem whose states do not run away from one another as they would in chaos."""
    problem = Problem.of(program, case)
    scale = 1.5 * max(case.hidden, 20) ** -0.5
    problem.parameters = [case.place(p * scale) if p.dim() == 2 else p for p in problem.parameters]
    return problem


def errors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """By name, the norm of what differs as a share of the norm of what was expected."""
    assert found.keys() <= expected.keys()
    shares = {}
    for name, value in found.items():
        assert value.shape == expected[name].shape, name
        distance = float((value.double() - expected[name]).norm())
        shares[name] = distance / max(float(expected[name].norm()), 1e-3)
    return shares


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("program", PROGRAMS + WITHOUT_BIAS, ids=key)
def test_equals_the_reference_with_rounded_products(program: Program, case: Case):
    problem = drawn(program, case)
    expected = problem.expected(linear=linear)
    found = problem.run()
    for name, error in errors(found, expected).items():
        assert error <= TOLERANCE, f"{name}: {error:.1e}"
    for name, value in problem.run(training=False).items():
        assert torch.equal(value, found[name]), f"{name} without a backward pass to follow"
    two = drawn(program, case.but(threads=2)).run()
    for name, value in found.items():
        assert torch.equal(two[name], value), f"{name} on two threads"


@pytest.mark.parametrize("program", [p for p in PROGRAMS if "relu" not in key(p)], ids=key)
def test_is_near_float32(program: Program):
    """A hundredth: eight bits each of two factors, in sums whose errors partly cancel. A relu's
    gradient jumps, so that no such bound holds for it."""
    case = PLAIN.but(batch=17, hidden=40, inputs=33, projection=24)
    exact = {k: v.double() for k, v in drawn(program, case.but(half=False)).run().items()}
    for name, error in errors(drawn(program, case).run(), exact).items():
        assert 1e-5 < error <= 2e-2, f"{name}: {error:.1e}"


@pytest.mark.parametrize("program", PROGRAMS, ids=key)
def test_same_bits_alone_or_among_others_and_in_every_run(program: Program):
    case = PLAIN.but(batch=19, hidden=40, steps=4, projection=24, threads=2)
    problem = drawn(program, case)
    whole, again = problem.run(), problem.run()
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name
    dy, dlast = problem.gradients()
    for row in (0, 5, 18):
        mine = slice(row, row + 1)
        alone = Problem.of(program, case.but(batch=1))
        alone.x, alone.parameters = problem.x[:, mine], problem.parameters
        alone.initial = [s[mine].contiguous() for s in problem.initial]
        given = dy[:, mine], [d[mine].contiguous() for d in dlast]
        for name, value in alone.run(gradients=given).items():
            if name.startswith(("last", "dinitial")):
                assert torch.equal(value, whole[name][mine]), name
            elif name in ("y", "dx") or name.startswith("dstate"):
                assert torch.equal(value, whole[name][:, mine]), name


@pytest.mark.parametrize("program", PROGRAMS, ids=key)
def test_packed_and_single_steps_equal_the_whole(program: Program):
    problem = drawn(program, PLAIN.but(steps=6, hidden=33))
    whole = problem.run(training=False)
    packed = native.Packed(program, problem.parameters, half=True)
    stepper = native.Stepper(program, problem.parameters, batch=3, half=True)
    stepper.states = problem.initial
    states, step_states = problem.initial, [s.numpy() for s in problem.initial]
    for t in range(6):
        y, last = problem.empty()
        inputs = problem.inputs()._replace(x=problem.x[t : t + 1], initial=states)
        native.forward(inputs, y[t : t + 1], last, packed=packed)
        states = last
        step_states = packed.step(problem.x[t].numpy(), step_states, [], 1)
        for value in (y[t].numpy(), stepper.step(problem.x[t].numpy()), step_states[0]):
            assert torch.equal(torch.from_numpy(value), whole["y"][t])
    for k, state in enumerate(states):
        for value in (state.numpy(), stepper.states[k], step_states[k]):
            assert torch.equal(torch.from_numpy(value), whole[f"last {k}"])


@pytest.mark.parametrize("hidden", [16, 20, 33, 48])
@pytest.mark.parametrize("program", PROGRAMS, ids=key)
def test_what_other_calls_left_in_memory_is_not_read(program: Program, hidden: int):
    """Depths and rows are rounded up to tiles: what is there besides must not be NaN."""
    case = PLAIN.but(batch=18, steps=9, hidden=hidden)
    problem, other = drawn(program, case), drawn(program, case)
    expected = problem.run()
    other.parameters = [p * torch.nan for p in other.parameters]
    dy, dlast = other.gradients()
    other.run(gradients=(dy * torch.nan, [d * torch.nan for d in dlast]))
    for name, value in problem.run().items():
        assert torch.equal(value, expected[name]), name


def test_a_cell_of_ones_own_has_them():
    own = program("gru", activation="softsign", recurrent_activation="hard_sigmoid")
    if native.find(own) is None:
        pytest.skip("no compiler for cells of one's own")
    problem = drawn(own, PLAIN.but(batch=17, hidden=40, inputs=33, masked="gaps"))
    for name, error in errors(problem.run(), problem.expected(linear=linear)).items():
        assert error <= TOLERANCE, f"{name}: {error:.1e}"


def test_weight_gradients_are_added_to_what_is_there():
    problem = drawn(program("lstm"), PLAIN.but(batch=17, hidden=50))
    inputs, (y, last) = problem.inputs(), problem.empty()
    saved = problem.nothing(native.saved_size(inputs))
    native.forward(inputs, y, last, saved=saved)
    dy, dlast = problem.gradients()
    found = [torch.full_like(p, 4.0) for p in problem.parameters]
    native.backward(inputs, y, saved, dy, dlast, dx=None, dparameters=found, dinitial=[None, None])
    expected = problem.run()
    for parameter, gradient in zip(problem.program.parameters, found, strict=True):
        torch.testing.assert_close(
            gradient - 4, expected[f"d{parameter.name}"], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("isa", native.isas()[1:])
def test_other_instruction_sets_have_none(isa: str):
    before = native.isa()
    try:
        native.use_isa(isa)
        assert native.half_products() == ""
        assert "AVX512-BF16" in native.without_half(program("lstm"))
    finally:
        native.use_isa(before)
    assert native.without_half(program("lstm")) == ""


@pytest.mark.skipif(native.half_products() != "amx_bf16", reason="no tiles to leave alone")
def test_dot_products_where_the_processor_has_tiles():
    """The choice is made once a process: all of the above, in another one."""
    environment = {**os.environ, "RECURRA_AMX": "off"}
    code = "from recurra import native; print(native.half_products())"
    paths = f"import sys; sys.path[:0] = {sys.path!r}; "
    command = [sys.executable, "-c", paths + code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "avx512_bf16\n"
    arguments = ["-q", "-p", "no:cacheprovider", "-k", "not instruction_sets", __file__]
    run = f"import sys, pytest; sys.path[:0] = {sys.path!r}; sys.exit(pytest.main({arguments!r}))"
    command = [sys.executable, "-c", run]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
