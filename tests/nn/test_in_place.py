"""Whoever receives a layer's results may write to them: gradients are those of the values computed.

torch's own layers allow it, and people do it: `Dropout(inplace=True)`, `relu_`, states of episodes
that ended zeroed. The judge is the same edit of a copy.
"""

import gc
import weakref

import pytest
import torch
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from nn.variants import CELLS, LOOPS, NOISY, I, Variant, as_hx, as_tuple, draw, paths, states_of
from recurra import ops
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell, state_gradients
from tolerances import assert_all_close

T, B = 5, 3
#: The kernels read outputs again where units fill whole vectors, and copies elsewhere.
UNITS = 16


def _halves(values):
    return torch.arange(values.numel()).view(values.shape) % 2 == 0


#: Edits of outputs and states, in place.
EDITS = {
    "relu_": lambda y, states: y.relu_(),
    "mul_": lambda y, states: y.mul_(2),
    "masked_fill_": lambda y, states: y.masked_fill_(_halves(y), 0.5),
    "dropout": lambda y, states: torch.nn.Dropout(0.5, inplace=True)(y),
    "last step": lambda y, states: y[-1].zero_(),
    "through a view": lambda y, states: y.transpose(0, 1)[..., :2].add_(1).mul_(y[0, 0, 0].item()),
    "no gradient": lambda y, states: y.detach().zero_(),
    "states": lambda y, states: [s.mul_(3) for s in states],
    "rows of states": lambda y, states: [s[:, 0].zero_() for s in states],
    "all": lambda y, states: [v.tanh_() for v in (y, *states)],
}


def results(module, edit, x, hx=None, *, copy, run=None, **more):
    """Gradients of a sum of what was edited, by the input, states and parameters."""
    module.zero_grad()
    x = x.clone().requires_grad_()
    states = [] if hx is None else [s.clone().requires_grad_() for s in hx]
    torch.manual_seed(7)
    y, state = (module if run is None else run)(x, as_hx(tuple(states)) if states else None, **more)
    held = [y, *as_tuple(state)]
    if copy:
        held = [v.clone() for v in held]
    seen = [v * draw(*v.shape, seed=k + 20).to(v) for k, v in enumerate(held)]
    torch.manual_seed(8)
    edit(held[0], held[1:])
    pairs = [v * draw(*v.shape, seed=k).to(v) for k, v in enumerate(held)]
    sum(v.sum() for v in (*seen, *pairs)).backward()
    leaves = [x, *states, *module.parameters()]
    return [*(v.detach() for v in held), *(v.grad for v in leaves if v.grad is not None)]


def compare(module, edit, x, hx=None, where="", **more):
    expected = results(module, edit, x, hx, copy=True, **more)
    assert_all_close(results(module, edit, x, hx, copy=False, **more), expected, where)


@pytest.mark.parametrize("variant", CELLS + LOOPS + NOISY, ids=str)
def test_gradients_are_those_of_what_was_computed(variant):
    for dtype in (torch.float64, torch.float32):
        for path, module in paths(variant, dtype=dtype):
            if path == "torch" and variant.layer is LSTM and dtype == torch.float32:
                continue  # oneDNN's reads its outputs again: torch.nn's layer refuses these, too
            x, hx = draw(T, B, I, dtype=dtype), states_of(module, B)
            for name, edit in EDITS.items():
                compare(module, edit, x, hx, f"{variant} {path} {dtype} {name}")


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_as_torchs_layers(name, edit):
    for more in ({}, {"bidirectional": True, "num_layers": 2}, {"batch_first": True}):
        theirs = getattr(torch.nn, name)(I, UNITS, dtype=torch.float64, **more)
        ours = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}[name](I, UNITS, dtype=torch.float64, **more)
        ours.load_state_dict(theirs.state_dict())
        x = draw(T, B, I)
        both = [results(m, edit, x, copy=False) for m in (ours, theirs)]
        assert_all_close(*both, f"{name} {more}")


#: Layers in whose units the kernels keep no copy of the outputs.
WIDE = [
    Variant(RNN, {"hidden_size": UNITS}),
    Variant(GRU, {"hidden_size": UNITS, "num_layers": 2}),
    Variant(LSTM, {"hidden_size": UNITS, "bidirectional": True, "batch_first": True}),
    Variant(GRU, {"hidden_size": UNITS, "learn_initial_state": True, "reverse": True}),
    Variant(LSTM, {"hidden_size": UNITS, "zoneout": 0.3, "recurrent_dropout": 0.3}),
    Variant(LSTM, {"hidden_size": 20, "proj_size": UNITS, "residual": True, "num_layers": 2}),
]
EACH = pytest.mark.parametrize("variant", WIDE, ids=str)


def wide(variant, **more):
    arguments = dict(variant.arguments)
    module = variant.layer(I, arguments.pop("hidden_size"), dtype=torch.float64, **arguments)
    return module


def identity(value):
    return value


class Seeing(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def under(context):
    return lambda module: lambda *given, **more: _within(context, module, *given, **more)


def _within(context, module, *given, **more):
    with context():
        return module(*given, **more)


def compiled(backend):
    def wrap(module):
        torch._dynamo.reset()
        return torch.compile(module, backend=backend)

    return wrap


def twice(module):
    """Differentiates once beforehand, and keeps the graph."""

    def run(*given, **more):
        y, state = module(*given, **more)
        torch.autograd.grad(
            y.sum(), list(module.parameters()), retain_graph=True, allow_unused=True
        )
        return y, state

    return run


#: Where the graph is made by other ways.
WAYS = {
    "plain": lambda module: module,
    "hooks": under(lambda: saved_tensors_hooks(identity, identity)),
    "on the host": under(save_on_cpu),
    "checkpoint": lambda module: (
        lambda *given, **more: checkpoint(module, *given, use_reentrant=False, **more)
    ),
    "a mode": under(Seeing),
    "compiled": compiled("eager"),
    "compiled aot": compiled("aot_eager"),
    "twice": twice,
}


@EACH
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_by_whatever_way_the_graph_is_made(variant, way):
    module = wide(variant)
    run, x, hx = way(module), draw(T, B, I), states_of(module, T if module.batch_first else B)
    for name in ("relu_", "last step", "all", "no gradient"):
        compare(module, EDITS[name], x, hx, f"{variant} {name}", run=run)


@EACH
def test_inside_what_is_recomputed(variant):
    """A checkpoint around layer and edit, which keeps no version of what it recomputes."""
    module = wide(variant)

    def run(copy):
        def both(x):
            torch.manual_seed(3)
            y = module(x)[0]
            return (y.clone() if copy else y).relu_().mul_(2)

        module.zero_grad()
        x = draw(T, B, I).requires_grad_()
        checkpoint(both, x, use_reentrant=False).square().sum().backward()
        return [x.grad, *(p.grad for p in module.parameters())]

    assert_all_close(run(False), run(True), str(variant))


@EACH
@pytest.mark.parametrize("form", ["mask", "lengths", "packed", "unbatched", "tokens", "gates"])
def test_every_form_of_input(variant, form):
    module = wide(variant)
    x = draw(B, T, I) if module.batch_first else draw(T, B, I)
    shape = x.shape[:2]
    given = {
        "mask": lambda: (x, {"mask": draw(*shape, seed=4) > 0}),
        "lengths": lambda: (x, {"lengths": torch.arange(B) + 1}),
        "packed": lambda: (pack_padded_sequence(x, [3, 3, 1], module.batch_first), {}),
        "unbatched": lambda: (x[:, 0], {}),
        "tokens": lambda: (ops.Lookup(draw(3, I), (draw(*shape) > 0).long()), {}),
        "gates": lambda: (x, {"return_gates": True}),
    }
    data, more = given[form]()

    def run(copy):
        module.zero_grad()
        torch.manual_seed(7)
        y, state, *rest = module(data, **more)
        held = [y.data if isinstance(y, PackedSequence) else y, *as_tuple(state)]
        held += [v for layer in rest for d in layer for g in d for v in g.values()]
        held = [v.clone() for v in held] if copy else held
        sum((v.mul_(2).tanh_() * draw(*v.shape, seed=9)).sum() for v in held).backward()
        return [p.grad for p in module.parameters()]

    assert_all_close(run(False), run(True), f"{variant} {form}")


@EACH
def test_watched_states(variant):
    module, x = wide(variant), draw(T, B, I)

    def run(copy):
        module.zero_grad()
        torch.manual_seed(7)
        with state_gradients(module) as calls:
            y, state = module(x)
        held = [v.clone() if copy else v for v in (y, *as_tuple(state))]
        sum((v.relu_() * draw(*v.shape, seed=9)).sum() for v in held).backward()
        seen = [v for layer in calls[0] for d in layer for v in d.values()]
        return [*seen, *(p.grad for p in module.parameters())]

    assert_all_close(run(False), run(True), str(variant))


@EACH
def test_second_gradients(variant):
    module = wide(variant).eval()

    def run(copy):
        x = draw(T, B, I).requires_grad_()
        y = module(x)[0]
        loss = (y.clone() if copy else y).sin_().square().sum()
        (first,) = torch.autograd.grad(loss, x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [x, *module.parameters()])

    assert_all_close(run(False), run(True), str(variant))


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "reference"])
@pytest.mark.parametrize("make", [RNNCell, GRUCell, LSTMCell])
def test_states_of_cells(make, kernels):
    module = make(I, UNITS, dtype=torch.float64)
    module._kernel = module._kernel if kernels else None
    for edit in (torch.relu_, torch.zero_, lambda s: s[0].mul_(2)):

        def run(copy, edit=edit):
            module.zero_grad()
            x, states = draw(B, I).requires_grad_(), None
            for _ in range(3):
                states = as_tuple(module(x, states if states is None else as_hx(states)))
                states = tuple(s.clone() if copy else s for s in states)
                for state in states:
                    edit(state)
            sum(s.sum() for s in states).backward()
            return [x.grad, *(p.grad for p in module.parameters())]

        assert_all_close(run(False), run(True), make.__name__)


@pytest.mark.parametrize("variant", CELLS[:1] + LOOPS + NOISY[:3], ids=str)
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_results_share_no_memory_with_what_was_given(variant, steps):
    """Else to write to the one would change the other."""
    for path, module in paths(variant):
        hx, x = states_of(module, B), draw(steps, B, I)
        before = [v.clone() for v in (x, *hx)]
        for mask in (None, torch.zeros(steps, B, dtype=torch.bool)):
            with torch.no_grad():
                y, state = module(x, as_hx(hx), mask=mask)
            for value in (y, *as_tuple(state)):
                value.fill_(9)
            for one, other in zip(before, (x, *hx), strict=True):
                assert torch.equal(one, other), f"{variant} {path} {mask is None}"


def test_what_was_given_may_not_change():
    """As with torch's layers: autograd says so, and no gradient is wrong."""
    for name in ("weight_hh_l0", "x", "hx"):
        module = GRU(I, UNITS)
        x, hx = torch.randn(T, B, I), torch.zeros(1, B, UNITS)
        y, _ = module(x, hx)
        changed = {"x": x, "hx": hx}.get(name)
        with torch.no_grad():
            (module.get_parameter(name) if changed is None else changed).add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_a_mask_may_be_used_again():
    """A buffer that says which episodes go on is filled anew at each step."""
    module, mask = GRU(I, UNITS), torch.rand(T, B) > 0.3
    found = []
    for change in (False, True):
        module.zero_grad()
        y, _ = module(draw(T, B, I, dtype=torch.float32), mask=mask)
        if change:
            mask.fill_(False)
        y.sum().backward()
        found.append([p.grad.clone() for p in module.parameters()])
    assert_all_close(*found, "mask")


def test_memory_goes_with_the_backward_pass():
    """What is kept is freed by it as what autograd saves, and makes no cycle."""
    module = GRU(I, UNITS)
    y, _ = module(torch.randn(T, B, I))
    loss = y.square().sum()
    node = y.grad_fn
    assert node.output.data_ptr() == y.data_ptr(), "no copy"
    loss.backward()
    assert node.output is None
    gc.collect()
    gc.disable()
    try:
        y, _ = module(torch.randn(T, B, I))
        gone = weakref.ref(y)
        del y, node, loss
        assert gone() is None
    finally:
        gc.enable()
