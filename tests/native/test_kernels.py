"""The kernels against the reference: outputs and all gradients."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from native.cases import Case, Problem, compare
from recurra import native
from recurra.cells import BUILT_IN, Program, definition
from recurra.cells import programs as variants
from recurra.cells.emit import key
from recurra.errors import InputError

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")


def program(cell: str, **options: str | bool) -> Program:
    return definition.find(cell).program(**options)


PROGRAMS = [one for cell in BUILT_IN.values() for one in variants(cell)]
PROGRAMS += [program("rnn", norm=n, activation="relu") for n in (False, True)]
WITHOUT_BIAS = [
    program("lstm", bias=False),
    program("gru", bias=False),
    program("lstm", bias=False, norm=True),
]

PLAIN = Case()
#: Rows that begin anew in mid-sequence.
RESETS = {
    "resets": PLAIN.but(resets="zeros", batch=6),
    "resets, float32, some chunks": PLAIN.but(
        resets="zeros", dtype=torch.float32, steps=21, batch=60, hidden=16
    ),
    "resets, whole vectors": PLAIN.but(resets="given", batch=6, hidden=32, projection=16),
    "resets, one row": PLAIN.but(resets="given", batch=1, steps=9),
    "resets, one step": PLAIN.but(resets="given", steps=1),
    "resets, no step": PLAIN.but(resets="given", steps=0),
    "resets, no initial state": PLAIN.but(resets="given", given=False),
    "resets, reverse": PLAIN.but(resets="given", reverse=True, batch=6),
    "resets, gaps": PLAIN.but(resets="given", masked="gaps", batch=6),
    "resets, recurrent dropout": PLAIN.but(resets="given", dropout=True, batch=6),
    "resets, zoneout as a share": PLAIN.but(resets="given", zoneout="share", batch=6),
    "resets, halves of the rows": PLAIN.but(
        resets="given", batch=13, hidden=33, projection=17, threads=2
    ),
    "resets, all at once": PLAIN.but(
        resets="given",
        zoneout="draw",
        masked="gaps",
        dropout=True,
        reverse=True,
        threads=2,
        batch=17,
        layout="loose",
    ),
}
CASES = {
    "plain": PLAIN,
    "float32": PLAIN.but(dtype=torch.float32),
    "one row": PLAIN.but(batch=1),
    "one step": PLAIN.but(steps=1),
    "no step": PLAIN.but(steps=0),
    "no row": PLAIN.but(batch=0),
    "one unit": PLAIN.but(hidden=1, inputs=1, projection=1),
    "fewer units than a vector": PLAIN.but(hidden=3, projection=2),
    "whole vectors": PLAIN.but(hidden=32, inputs=16, projection=16),
    "two threads": PLAIN.but(hidden=50, projection=33, threads=2),
    "more threads than vectors": PLAIN.but(hidden=5, projection=2, threads=2),
    "many steps": PLAIN.but(steps=300, batch=2, threads=2),
    "many rows": PLAIN.but(steps=3, batch=300, threads=2, hidden=16),
    # From 12 rows on, halves of them go their own way: see native/parts.h.
    "halves of the rows": PLAIN.but(batch=13, hidden=33, projection=17, threads=2),
    "halves, three threads, lengths": PLAIN.but(batch=12, masked="lengths", threads=3, hidden=40),
    "halves, loose, everything at once": PLAIN.but(
        zoneout="draw",
        masked="gaps",
        dropout=True,
        reverse=True,
        threads=2,
        batch=17,
        layout="loose",
    ),
    "halves, zoneout as a share": PLAIN.but(zoneout="share", threads=2, batch=14, hidden=16),
    "halves, batch first, dropout": PLAIN.but(layout="batch", dropout=True, threads=4, batch=15),
    "some chunks": PLAIN.but(steps=21, batch=60),
    "batch first": PLAIN.but(layout="batch"),
    "neither contiguous nor aligned": PLAIN.but(layout="loose"),
    "every array misaligned": PLAIN.but(layout="odd", zoneout="draw", dropout=True),
    "misaligned, whole vectors": PLAIN.but(layout="odd", hidden=32, inputs=16, projection=16),
    "reverse": PLAIN.but(reverse=True),
    "reverse, some chunks": PLAIN.but(reverse=True, steps=21, batch=60, hidden=16),
    "no initial state": PLAIN.but(given=False),
    "lengths": PLAIN.but(masked="lengths", batch=6),
    "lengths, reverse": PLAIN.but(masked="lengths", batch=6, reverse=True),
    "gaps": PLAIN.but(masked="gaps", batch=6),
    "gaps, whole vectors": PLAIN.but(masked="gaps", batch=6, hidden=32, projection=16),
    "recurrent dropout": PLAIN.but(dropout=True),
    "zoneout, mean": PLAIN.but(zoneout="share"),
    "zoneout, drawn": PLAIN.but(zoneout="draw"),
    "all at once": PLAIN.but(
        zoneout="draw", masked="gaps", dropout=True, reverse=True, threads=2, batch=6
    ),
    **RESETS,
}


@pytest.fixture(autouse=True)
def _restore_isa():
    before = native.isa()
    yield
    native.use_isa(before)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("program", PROGRAMS + WITHOUT_BIAS, ids=key)
def test_equals_reference(program: Program, case: Case):
    problem = Problem.of(program, case)
    expected = problem.expected()
    for isa in native.isas():
        native.use_isa(isa)
        found = problem.run()
        compare(found, expected, case.dtype)
        compare(problem.run(training=False), expected, case.dtype)
    other = Problem.of(program, case.but(threads=3 - case.threads)).run()
    for name, value in found.items():
        assert torch.equal(other[name], value), f"{name} on another number of threads"


def test_every_program_with_kernels_is_in_the_table():
    assert set(native.cells()) == {key(p) for p in PROGRAMS}


@pytest.mark.parametrize("layout", ["loose", "odd"])
def test_misaligned_arrays_are_misaligned(layout: str):
    """Or the rows of the table above would not show what they say."""
    for dtype in (torch.float32, torch.float64):
        x = Problem.of(PROGRAMS[0], Case(layout=layout, dtype=dtype)).x
        assert x.data_ptr() % 16 == x.element_size()


@pytest.mark.parametrize("resets", ["", "given"])
@pytest.mark.parametrize("batch", [7, 13])
@pytest.mark.parametrize("program", PROGRAMS, ids=key)
def test_same_bits_alone_or_among_others_and_on_any_threads(
    program: Program, batch: int, resets: str
):
    case = Case(batch=batch, hidden=40, steps=4, projection=24, dtype=torch.float32, threads=2)
    case = case.but(resets=resets)
    problem = Problem.of(program, case)
    whole = problem.run()
    again = problem.run()
    one = Problem.of(program, case.but(threads=1)).run()
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name
        assert torch.equal(value, one[name]), name
    for row in range(case.batch):
        mine = slice(row, row + 1)
        alone = Problem.of(program, case.but(batch=1))
        alone.x, alone.parameters = problem.x[:, mine], problem.parameters
        alone.initial = [s[mine].contiguous() for s in problem.initial]
        if problem.reset is not None:
            alone.reset = problem.reset[:, mine].contiguous()
            alone.start = [s[mine].contiguous() for s in problem.start]
        dy, dlast = problem.gradients()
        given = dy[:, mine], [d[mine].contiguous() for d in dlast]
        for found in (alone.run(training=False), alone.run(gradients=given)):
            for name, value in found.items():
                if name.startswith(("last", "dinitial", "dstart")):
                    assert torch.equal(value, whole[name][mine]), name
                elif name in ("y", "dx") or name.startswith("dstate"):
                    assert torch.equal(value, whole[name][:, mine]), name


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("program", PROGRAMS, ids=key)
def test_same_bits_as_the_pieces_between_resets(program: Program, reverse: bool):
    case = Case(steps=6, batch=5, hidden=40, projection=24, dtype=torch.float32, reverse=reverse)
    problem = Problem.of(program, case.but(resets="given"))
    assert problem.reset is not None
    problem.reset[:] = (torch.arange(6) == (3 if reverse else 2))[:, None]
    whole, (dy, dlast) = problem.run(), problem.gradients()
    # The steps before the reset and after it, in the order in which they are computed.
    cuts = [slice(4, 6), slice(0, 4)] if reverse else [slice(0, 2), slice(2, 6)]
    for part, cut in enumerate(cuts):
        piece = Problem.of(program, case.but(steps=cut.stop - cut.start))
        piece.x, piece.parameters = problem.x[cut].contiguous(), problem.parameters
        piece.initial = problem.start if part else problem.initial
        ends = [d * part for d in dlast]
        found = piece.run(gradients=(dy[cut].contiguous(), ends))
        for name in ("y", "dx", *(n for n in found if n.startswith("dstate"))):
            assert torch.equal(found[name], whole[name][cut]), name
        for k, _ in enumerate(dlast):
            name = f"dstart {k}" if part else f"dinitial {k}"
            assert torch.equal(found[f"dinitial {k}"], whole[name]), name
            assert not part or torch.equal(found[f"last {k}"], whole[f"last {k}"])


@pytest.mark.parametrize("program", PROGRAMS, ids=key)
def test_chunks_equal_the_whole(program: Program):
    problem = Problem.of(program, Case(steps=6, dtype=torch.float32))
    whole = problem.run(training=False)
    packed = native.Packed(program, problem.parameters)
    states = problem.initial
    for t in range(6):
        y, last = problem.empty()
        inputs = problem.inputs()._replace(x=problem.x[t : t + 1], initial=states)
        native.forward(inputs, y[t : t + 1], last, packed=packed)
        assert torch.equal(y[t], whole["y"][t])
        states = last
    for k, state in enumerate(states):
        assert torch.equal(state, whole[f"last {k}"])


@pytest.mark.parametrize(
    "case",
    [
        Case(steps=6, dtype=torch.float32),
        Case(steps=6, hidden=32, projection=16, threads=2),
        Case(steps=5, batch=13, dtype=torch.float32, threads=2),
        Case(steps=5, batch=17, dtype=torch.float32, threads=3, half=True),
    ],
    ids=["one thread", "two threads", "halves of the rows", "bfloat16"],
)
@pytest.mark.parametrize("resets", ["", "zeros", "given"])
@pytest.mark.parametrize("program", PROGRAMS, ids=key)
def test_steps_equal_the_whole(program: Program, case: Case, resets: str):
    if case.half and not native.half_products():
        pytest.skip("a processor without products in bfloat16")
    problem = Problem.of(program, case.but(resets=resets))
    problem.start = [s[:1].expand_as(s).contiguous() for s in problem.start]
    whole = problem.run(training=False)
    stepper = native.Stepper(
        program,
        problem.parameters,
        batch=case.batch,
        threads=case.threads,
        half=case.half,
        start=[s[0] for s in problem.start],
    )
    for state, start in zip(stepper.states, problem.start, strict=False):
        assert torch.equal(torch.from_numpy(state), start)
    stepper.states = problem.initial
    for t in range(case.steps):
        if t == 3:  # states are values: they can be read, and go on elsewhere
            states = stepper.states
            stepper.step(problem.x[t].numpy())
            stepper.states = states
        more = {} if problem.reset is None else {"reset": problem.reset[t].numpy()}
        y = stepper.step(problem.x[t].numpy(), **more)
        assert torch.equal(torch.from_numpy(y), whole["y"][t])
    for k, state in enumerate(stepper.states):
        assert torch.equal(torch.from_numpy(state), whole[f"last {k}"])


@pytest.mark.parametrize(
    "reset", [np.zeros(2, bool), np.zeros(3), np.zeros((3, 1), bool), [False] * 3, 1]
)
def test_resets_that_do_not_fit_a_stepper(reset):
    problem = Problem.of(PROGRAMS[0], Case())
    stepper = native.Stepper(PROGRAMS[0], problem.parameters, batch=3)
    with pytest.raises(
        ValueError, match=r"expected resets as an array of booleans of shape \(3,\)"
    ):
        stepper.step(problem.x[0].numpy(), reset=reset)
    with pytest.raises(InputError, match=r"start 0: expected \(20,\), received \(3,\)"):
        native.Stepper(PROGRAMS[0], problem.parameters, batch=3, start=[np.zeros(3)])


def test_a_stepper_goes_on_while_others_have_the_threads():
    lstm = program("lstm")
    problem = Problem.of(lstm, Case(steps=1, hidden=300, inputs=300, dtype=torch.float32))
    expected = native.Stepper(lstm, problem.parameters, batch=3)
    steppers = [native.Stepper(lstm, problem.parameters, batch=3, threads=2) for _ in range(4)]
    x = problem.x[0].numpy()
    steps = [expected.step(x).copy() for _ in range(50)]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda s: [s.step(x).copy() for _ in steps], steppers):
            np.testing.assert_array_equal(found, steps)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to ask for memory")
def test_a_thousand_shapes_do_not_grow_memory():
    lstm, draw = program("lstm"), torch.Generator().manual_seed(0)
    shapes = [
        [int(torch.randint(1, n, (), generator=draw)) for n in (40, 24, 50)] for _ in range(1000)
    ]
    assert len(set(map(tuple, shapes))) > 950
    held, mapped = [], []
    for steps, batch, hidden in shapes:
        case = Case(steps=steps, batch=batch, hidden=hidden, dtype=torch.float32, threads=2)
        problem = Problem.of(lstm, case)
        inputs = problem.inputs()
        y, last = problem.empty()
        saved = native.empty(native.saved_size(inputs))
        native.forward(inputs, y, last, saved=saved)
        zeros = [torch.zeros_like(p) for p in problem.parameters]
        native.backward(
            inputs, y, saved, y, last, dx=None, dparameters=zeros, dinitial=[None, None]
        )
        held.append(sum(native.memory()))
        mapped.append(resident())
    assert held[-1] <= 512 << 20
    assert max(held[500:]) <= 1.5 * max(held[:500])  # a new size may keep a block more
    assert max(mapped[500:]) <= max(mapped[:500]) + (16 << 20)


def test_backward_can_run_again():
    problem = Problem.of(PROGRAMS[4], Case(batch=5))
    inputs = problem.inputs()
    y, last = problem.empty()
    saved = problem.x.new_empty(native.saved_size(inputs))
    native.forward(inputs, y, last, saved=saved)
    dy, dlast = problem.gradients()
    found = []
    for _ in range(2):
        dx = torch.empty_like(problem.x)
        native.backward(
            inputs,
            y,
            saved,
            dy,
            dlast,
            dx=dx,
            dparameters=[None] * len(problem.parameters),
            dinitial=[None] * len(last),
        )
        found.append(dx)
    assert torch.equal(*found)


def test_gates_are_visible():
    lstm = program("lstm")
    problem = Problem.of(lstm, Case(hidden=20))
    inputs = problem.inputs()
    y, last = problem.empty()
    saved = problem.x.new_empty(native.saved_size(inputs))
    native.forward(inputs, y, last, saved=saved)
    gates = native.kept(inputs, saved)
    assert set(gates) == {"i", "f", "g", "o"}
    names = [p.name for p in lstm.parameters]
    weight, _, bias, recurrent_bias = (problem.parameters[k] for k in range(4))
    assert names[:4] == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    recurrent = problem.initial[0] @ problem.parameters[1].T
    a = problem.x[0] @ weight.T + bias + recurrent + recurrent_bias
    torch.testing.assert_close(gates["f"][0], torch.sigmoid(a[:, 20:40]))
    torch.testing.assert_close(gates["g"][0], torch.tanh(a[:, 40:60]))
