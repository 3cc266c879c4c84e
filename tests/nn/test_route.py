"""Which way a call of a layer takes, that the ways agree, and how far it is to the kernel."""

import contextlib
import copy
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

import recurra
from nn.variants import H, I, P, Variant, as_hx, as_tuple, draw, on, states_of
from recurra import native, ops
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, Recurrent
from recurra.ops import kernel
from tolerances import assert_all_close

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

T, B = 4, 3
ROWS = [
    Variant(RNN, {}),
    Variant(RNN, {"bias": False, "reverse": True}),
    Variant(GRU, {"batch_first": True, "weight_drop": 0.5}),
    Variant(GRU, {"reset": "before", "learn_initial_state": True}),
    Variant(LSTM, {"proj_size": P, "layer_norm": True, "peephole": True}),
    Variant(LSTM, {"proj_size": P, "bidirectional": True, "num_layers": 2, "dropout": 0.5}),
    Variant(GRU, {"bidirectional": True, "num_layers": 2, "merge": "ave", "residual": True}),
    Variant(RNN, {"num_layers": 3, "learn_initial_state": True, "batch_first": True}),
]
EACH = pytest.mark.parametrize("variant", ROWS, ids=str)
GIVEN = pytest.mark.parametrize("given", [False, True], ids=["zeros", "states"])


class Seen(TorchDispatchMode):
    """A mode that looks on: operators run in the place of direct calls."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def results(
    module: Recurrent, *, given: bool, again: bool = False, lengths: Tensor | None = None
) -> list[Tensor]:
    """Outputs, states and gradients by everything; with `again` second ones of the input."""
    x = draw(B, T, I) if module.batch_first else draw(T, B, I)
    states = [s.requires_grad_() for s in states_of(module, B)] if given else []
    torch.manual_seed(7)
    hx = as_hx(tuple(states)) if given else None
    outputs, state = module(x.requires_grad_(), hx, lengths=lengths)
    flat = [outputs, *as_tuple(state)]
    loss = sum((r * draw(*r.shape, seed=k)).sum() for k, r in enumerate(flat))
    leaves = [x, *states, *module.parameters()]
    used = [p for p in leaves if not given or "initial" not in str(names(module, p))]
    found = torch.autograd.grad(loss, used, create_graph=again)
    if again:
        found += torch.autograd.grad(sum(f.square().sum() for f in found), x)
    return [*flat, *found]


def names(module: Recurrent, parameter: Tensor) -> list[str]:
    return [name for name, p in module.named_parameters() if p is parameter]


@EACH
@GIVEN
@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 0, 4])], ids=["all", "lengths"])
def test_direct_calls_equal_the_operator(variant, given, lengths, taken):
    module = variant.make()
    found = results(module, given=given, lengths=lengths)
    assert set(taken) == {"run_direct"}, "a row for this test"
    taken.clear()
    with Seen():
        expected = results(module, given=given, lengths=lengths)
    assert set(taken) == {"run_operator"}
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@EACH
@GIVEN
def test_second_gradients_are_the_references(variant, given):
    module = variant.make()
    expected = results(on("reference", copy.deepcopy(module)), given=given, again=True)
    assert_all_close(results(module, given=given, again=True), expected, str(variant))


@pytest.fixture
def taken(monkeypatch) -> list[str]:
    """The names of the ways that calls take from now on."""
    names: list[str] = []
    choose = ops.route

    def route(call, fused=None):
        way, call = choose(call, fused)
        names.append(way.__name__)
        return way, call

    monkeypatch.setattr(ops, "route", route)
    return names


def unkernelled(module: Recurrent) -> None:
    module._kernel = None


def compiling(monkeypatch) -> contextlib.nullcontext[None]:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    return contextlib.nullcontext()


def forward_mode(monkeypatch) -> contextlib.AbstractContextManager[object]:
    return torch.autograd.forward_ad.dual_level()


def plainly(monkeypatch) -> contextlib.nullcontext[None]:
    return contextlib.nullcontext()


class Subclass(Tensor):
    """An input that computes by itself."""


NO_CHANGE = lambda module: None  # noqa: E731
#: A change of a layer, what is at work around its call, and the ways of two GRUs: of one that torch
#: has a kernel for, and of one that it has none for.
WAYS = {
    "plain": (NO_CHANGE, plainly, "run_direct", "run_direct"),
    "no gradient": (NO_CHANGE, lambda _: torch.no_grad(), "run_direct", "run_direct"),
    "zoneout": (lambda m: setattr(m, "zoneout", (0.5,)), plainly, "run_direct", "run_direct"),
    "dropout": (
        lambda m: setattr(m, "recurrent_dropout", 0.5),
        plainly,
        "run_direct",
        "run_direct",
    ),
    "bfloat16": (lambda m: m.to(torch.bfloat16), plainly, "run_fused", "run_reference"),
    "parametrised": (
        lambda m: parametrizations.weight_norm(m, "weight_ih_l0"),
        plainly,
        "run_direct",
        "run_direct",
    ),
    "autocast": (
        NO_CHANGE,
        lambda _: torch.autocast("cpu", torch.bfloat16),
        "run_direct",
        "run_direct",
    ),
    "a mode": (NO_CHANGE, lambda _: Seen(), "run_operator", "run_operator"),
    "forward mode": (NO_CHANGE, forward_mode, "run_reference", "run_reference"),
    "no kernels": (unkernelled, plainly, "run_fused", "run_reference"),
    "no kernels, zoneout": (
        lambda m: (unkernelled(m), setattr(m, "zoneout", (0.5,))),
        plainly,
        "run_reference",
        "run_reference",
    ),
    "no kernels, reverse": (
        lambda m: (unkernelled(m), setattr(m, "reverse", True)),
        plainly,
        "run_reference",
        "run_reference",
    ),
    "compiled": (NO_CHANGE, compiling, "run_operator", "run_operator"),
    "compiled, no kernels": (unkernelled, compiling, "run_interpreted", "run_interpreted"),
}


@pytest.mark.parametrize(("change", "around", "known", "own"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("reset", ["after", "before"])
def test_the_way_of_a_call(reset, change, around, known, own, taken, monkeypatch):
    module = GRU(I, H, reset=reset)
    change(module)
    x = torch.zeros(T, B, I).to(next(module.parameters()).dtype)
    with around(monkeypatch):
        outputs, _ = module(x)
    assert taken == [known if reset == "after" else own]
    assert torch.isfinite(outputs).all()


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.trace:DeprecationWarning", "ignore::torch.jit.TracerWarning"
)
def test_a_trace_and_a_subclass_have_ways_of_their_own(taken):
    module, x = GRU(I, H), torch.zeros(T, B, I)
    module(x.as_subclass(Subclass))
    assert taken == ["run_operator"]
    taken.clear()
    torch.jit.trace(module, x, check_trace=False)
    assert "run_traced" in taken


def test_recorded_calls_take_the_same_ways():
    """What cannot be recorded on the kernels is, by the reference, with the same values."""
    module, x = GRU(I, H, dtype=torch.float64), draw(T, B, I)
    expected = module(x, return_gates=True)
    with torch.autograd.forward_ad.dual_level():
        found = module(x, return_gates=True)
    assert_all_close([found[0], found[1]], [expected[0], expected[1]], "outputs and state")
    assert_all_close(list(found[2][0][0].values()), list(expected[2][0][0].values()), "gates")


# -- how far it is to the kernel ------------------------------------------------------------------

HOME = Path(recurra.__file__).parent
LENGTHS = torch.tensor([T, 1, 2])
#: Layers and further arguments of calls, and at most how many of our functions run before the
#: kernel does, those included that have returned by then.
CALLS = {
    "one layer": (lambda: LSTM(I, H), {}, 26),
    "given states": (lambda: LSTM(I, H), {"hx": (torch.zeros(1, B, H),) * 2}, 32),
    "lengths": (lambda: LSTM(I, H), {"lengths": LENGTHS}, 34),
    "two layers": (lambda: LSTM(I, H, 2, bidirectional=True), {}, 27),
    "noise": (lambda: LSTM(I, H, recurrent_dropout=0.3, zoneout=0.2), {}, 36),
    "batch first": (lambda: GRU(I, H, batch_first=True), {}, 26),
}


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(("make", "more", "most"), CALLS.values(), ids=CALLS)
def test_few_functions_lead_to_the_kernel(make, more, most, training, monkeypatch):
    """At most 5 of ours, in at most 3 files, are under way where the compiled code takes over."""
    module, x = make().train(training), torch.zeros(T, B, I)
    depths: list[list[str]] = []
    entered: list[str] = []
    before: list[int] = []

    def at_the_kernel(*given):
        frame, path = sys._getframe(1), []
        while frame is not None:
            path.append(frame.f_code.co_filename)
            frame = frame.f_back
        depths.append([name for name in path if Path(name).is_relative_to(HOME)])
        before.append(len(entered))
        return inner(*given)

    def watch(frame, event, _):
        if event == "call" and Path(frame.f_code.co_filename).is_relative_to(HOME):
            entered.append(frame.f_code.co_name)

    with torch.set_grad_enabled(training):
        for _ in range(3):  # what calls of these sizes share is made once
            module(x, **more)
        module.flatten_parameters()  # the weights are not kept: see the next test
        fit = kernel.fitted
        inner = None

        def fitted(call):
            nonlocal inner
            found = fit(call)
            inner = found.forward
            return found._replace(forward=at_the_kernel)

        monkeypatch.setattr(kernel, "fitted", fitted)
        sys.setprofile(watch)
        try:
            module(x, **more)
        finally:
            sys.setprofile(None)
    assert len(depths) == module.num_layers * module.num_directions
    for path in depths:
        assert len(path) <= 5, path
        assert len(set(path)) <= 3, path
    assert before[0] <= most, entered[: before[0]]


#: Of the calls above, those that a layer whose weights are kept computes at once.
SHORT = [name for name in CALLS if name not in ("lengths", "noise")]


@pytest.mark.parametrize("name", SHORT)
def test_a_short_call_goes_straight_to_the_kernel(name, monkeypatch):
    make, more, _ = CALLS[name]
    module, x = make(), torch.zeros(T, B, I)
    entered: list[str] = []

    def watch(frame, event, _):
        if event == "call" and Path(frame.f_code.co_filename).is_relative_to(HOME):
            entered.append(frame.f_code.co_name)

    with torch.no_grad():
        expected = module(x, **more)
        for _ in range(2):
            module(x, **more)
        assert module._prepared._run is not None
        monkeypatch.setattr(kernel, "forward", None)
        sys.setprofile(watch)
        try:
            found = module(x, **more)
        finally:
            sys.setprofile(None)
    assert entered == ["forward", "call", "plain", "special", "threads"]
    assert torch.equal(found[0], expected[0])
    for one, other in zip(as_tuple(found[1]), as_tuple(expected[1]), strict=True):
        assert torch.equal(one, other)


#: Units of which the kernels read the outputs again.
WIDE = 16
HOOKS = {
    "other layout": (lambda t: t, lambda t: t.mT.contiguous().mT if t.dim() > 1 else t, None),
    "other dtype": (lambda t: t.half(), lambda t: t, "float32 or float64"),
    "other size": (lambda t: t, lambda t: t[:1], "expected"),
    "other outputs": (lambda t: t, lambda t: t[:, :1] if t.shape == (T, B, WIDE) else t, "hooks"),
    "twice as fine": (lambda t: t, lambda t: t.double() if t.dim() == 1 else t, "expected"),
}


@pytest.mark.parametrize(("pack", "unpack", "message"), HOOKS.values(), ids=HOOKS)
def test_hooks_of_saved_tensors(pack, unpack, message):
    module, x = GRU(I, WIDE), draw(T, B, I).float().requires_grad_()
    expected = torch.autograd.grad(module(x)[0].sum(), [x, *module.parameters()])
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        outputs, _ = module(x)
    leaves = [x, *module.parameters()]
    if message is None:
        for one, other in zip(torch.autograd.grad(outputs.sum(), leaves), expected, strict=True):
            assert torch.equal(one, other)
        return
    with pytest.raises(InputError, match=message) as caught:
        torch.autograd.grad(outputs.sum(), leaves)
    assert "\n" not in str(caught.value)


def test_an_input_elsewhere_is_refused():
    with pytest.raises(InputError, match=r"expected tensors in memory, .* on the device meta"):
        RNN(I, H)(torch.zeros(T, B, I, device="meta"))
