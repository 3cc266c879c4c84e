"""Kernels that are compiled on first use against the reference: outputs and all gradients."""

import warnings

import pytest
import torch

from conftest import ROOT
from native.cases import Case, Problem, compare
from native.own import HOSTILE, MINIMAL_GATED, PROGRAMS, WORDS, made
from recurra import native
from recurra.cells import definition, find, tanh
from recurra.cells.definition import Cell
from recurra.cells.emit import own
from recurra.errors import InputError, RecurraWarning
from recurra.native import compiler
from recurra.native.library import compiled
from recurra.nn import Recurrent

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

PLAIN = Case()
CASES = {
    "plain": PLAIN,
    "float32": PLAIN.but(dtype=torch.float32, hidden=37),
    "one unit": PLAIN.but(hidden=1, inputs=1, projection=1),
    "some chunks": PLAIN.but(steps=21, batch=60, hidden=16, projection=16, threads=2),
    "zoneout, mean": PLAIN.but(zoneout="share", steps=12, batch=2),
    "lengths, recurrent dropout": PLAIN.but(masked="lengths", batch=6, dropout=True),
    "all at once": PLAIN.but(
        zoneout="draw", masked="gaps", dropout=True, reverse=True, threads=2, batch=6
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_equals_reference(program, case):
    problem = Problem.of(program, case)
    expected = problem.expected()
    compare(problem.run(), expected, case.dtype)
    compare(problem.run(training=False), expected, case.dtype)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_threads_do_not_meet_in_a_gate_that_two_products_have(count):
    program, case = PROGRAMS["crowded"], CASES["all at once"].but(batch=40, hidden=37)
    expected = Problem.of(program, case.but(threads=1)).run()
    problem = Problem.of(program, case.but(threads=count))
    for _ in range(100):
        found = problem.run()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("isa", native.isas())
def test_every_instruction_set(isa):
    before = native.isa()
    program = PROGRAMS["minimal gated, norm"]
    number = native.find(program)
    try:
        native.use_isa(isa)
        assert (native.find(program) == number) == (isa == before)
        problem = Problem.of(program, PLAIN.but(threads=2, hidden=50))
        compare(problem.run(), problem.expected(), torch.float64)
    finally:
        native.use_isa(before)
    assert native.find(program) == number


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_same_bits_on_any_threads_and_step_by_step(program):
    case = Case(batch=3, hidden=40, steps=5, projection=24, dtype=torch.float32, threads=2)
    problem = Problem.of(program, case)
    whole = problem.run()
    one = Problem.of(program, case.but(threads=1)).run()
    for name, value in whole.items():
        assert torch.equal(value, one[name]), name
    whole = problem.run(training=False)
    stepper = native.Stepper(program, problem.parameters, batch=3)
    stepper.states = problem.initial
    for t in range(case.steps):
        y = stepper.step(problem.x[t].numpy())
        assert torch.equal(torch.from_numpy(y), whole["y"][t])


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Layers run on kernels where every process can find the cell by its name."""
    for cell in (MINIMAL_GATED, WORDS):
        monkeypatch.setitem(definition._registry, cell.name, cell)


def test_gates_are_seen_as_the_reference_has_them():
    module = Recurrent(MINIMAL_GATED, 4, 5, dtype=torch.float64)
    x = torch.randn(6, 2, 4, dtype=torch.float64)
    ours = module(x, return_gates=True)[2][0][0]
    module._kernel = None
    theirs = module(x, return_gates=True)[2][0][0]
    assert list(ours) == list(theirs) == ["f", "n", "h"]
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name])
    problem = Problem.of(PROGRAMS["minimal gated"], PLAIN)
    y, last = problem.empty()
    saved = problem.x.new_empty(native.saved_size(problem.inputs()))
    native.forward(problem.inputs(), y, last, saved=saved)
    assert set(native.kept(problem.inputs(), saved)) == {"f", "n"}


@pytest.mark.parametrize("cell", [MINIMAL_GATED, WORDS], ids=["minimal gated", "words"])
def test_gradients_by_finite_differences(cell):
    torch.manual_seed(3)
    module = Recurrent(cell, 4, 5, dtype=torch.float64, zoneout=0.2)
    assert module._kernel is not None
    names = [n for n, _ in module.named_parameters()]
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)

    def function(x, *weights):
        torch.manual_seed(0)
        y, last = torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (x,))
        return y, *(last if isinstance(last, tuple) else (last,))

    leaves = [p.detach().clone().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(function, [x, *leaves])


def test_cells_of_one_name_are_told_apart_by_their_equations():
    def lstm(x, u, h, c, opt):
        return dict(c=c, h=tanh(x.i - u(c).i))

    other = Cell(lstm, states="h c", gates="i").program()
    assert native.find(other) != native.find(find("lstm").program())
    problem = Problem.of(other, PLAIN)
    compare(problem.run(), problem.expected(), torch.float64)


def test_equal_equations_have_equal_text_whatever_their_names():
    def renamed(x, u, state, opt):
        state = 1 / 2 * tanh(x.gate + u(state).gate)
        return dict(state=state, looked_at=tanh(state))

    def plain(x, u, h, opt):
        return dict(h=0.5 * tanh(x.g + u(h).g))

    assert own(made(plain, "", "g").program()) == own(made(renamed, "", "gate").program())


def test_no_name_gets_into_the_text():
    text = own(HOSTILE.program())
    assert "error" not in text
    assert not set('#\\"') & set(text.replace('"own"', "").replace('""', ""))
    problem = Problem.of(HOSTILE.program(), PLAIN)
    compare(problem.run(), problem.expected(), torch.float64)


def many_gates() -> Cell:
    def crowd(x, u, h, opt):
        total = tanh(x.g0 + u(h).g0)
        for n in range(1, 65):
            total = total * x[f"g{n}"]
        return dict(h=total)

    return made(crowd, "", " ".join(f"g{n}" for n in range(65)))


def boundless(x, u, h, opt):
    return dict(h=tanh(h * float("inf") + x.g))


def deaf(x, u, h, opt):
    return dict(h=tanh(u(h).g))


def half_normed(x, u, h, opt):
    return dict(h=tanh(x.g + opt.norm(u(h)).g + u(h).g))


def projected_memory(x, u, h, c, opt):
    return dict(h=tanh(x.g + u(h).g), c=opt.project(h))


REFUSED = {
    "65 gates, where kernels have at most 64": many_gates,
    "a constant is no finite number": lambda: made(boundless, "", "g"),
    "nothing is read of the input": lambda: made(deaf, "", "g"),
    "a norm is on some products with weight_hh, and not on others": lambda: made(
        half_normed, "norm", "g"
    ),
    "a projection is of the first state, and of no other": lambda: made(
        projected_memory, "projection", "g"
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_kernels_cannot_compute_is_told_once(reason):
    cell = REFUSED[reason]()
    program = cell.program(**{name: True for name in cell.options})
    with pytest.warns(RecurraWarning, match=reason) as told:
        assert native.find(program) is None
    assert len(told) == 1
    assert "\n" not in str(told[0].message)
    native.use_isa(native.isa())  # which makes it look again
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert native.find(program) is None
    with pytest.raises(InputError, match=cell.name):
        Problem.of(program, Case()).run()


def test_a_layer_elsewhere_compiles_nothing(monkeypatch, tmp_path):
    def afar(x, u, h, opt):
        return dict(h=tanh(x.g + 0.125 * u(h).g))

    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path))
    cell = made(afar, "", "g")
    monkeypatch.setitem(definition._registry, "afar", cell)
    module = Recurrent(cell, 3, 4, device="meta")
    half = Recurrent(cell, 3, 4, dtype=torch.bfloat16)
    half(torch.zeros(2, 1, 3, dtype=torch.bfloat16))
    assert not list(tmp_path.iterdir())
    module.to_empty(device="cpu")
    module.reset_parameters()
    assert module._kernel is not None
    assert half.float()._kernel is not None
    assert len(list(tmp_path.glob("cells/*.so"))) == 1


def test_an_interrupt_while_compiling_is_no_answer(monkeypatch):
    def interrupted(x, u, h, opt):
        return dict(h=tanh(x.g + 0.1875 * u(h).g))

    def stop(*_):
        raise KeyboardInterrupt

    program = made(interrupted, "", "g").program()
    with monkeypatch.context() as patched:
        patched.setattr(native.own, "_source", stop)
        with pytest.raises(KeyboardInterrupt):
            native.find(program)
    assert native.find(program) is not None


def test_a_fault_of_the_generator_is_told_as_one(monkeypatch):
    def faulty(x, u, h, opt):
        return dict(h=tanh(x.g + 0.3125 * u(h).g))

    def fail(program):
        raise KeyError(7)

    program = made(faulty, "", "g").program()
    monkeypatch.setattr(native.own.emit, "own", fail)
    with pytest.warns(RecurraWarning, match=r"a fault of the generator of kernels \(KeyError: 7\)"):
        assert native.find(program) is None


def test_flags_are_those_of_the_build():
    """What decides the arithmetic of cells compiled on first use is what the library's had."""
    for isa in native.isas():
        flags = compiler.all_flags(compiled().own_flags(isa))
        assert {"-ffp-contract=fast", "-fno-math-errno", "-std=c++17"} <= set(flags)
        assert any(flag.startswith("-O") for flag in flags)
    text = (ROOT / "native" / "CMakeLists.txt").read_text()
    assert "${CMAKE_CXX_FLAGS_RELEASE} ${arithmetic} ${ARGN}" in text
    assert "PRIVATE ${arithmetic} " in text
