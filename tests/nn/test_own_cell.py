"""A cell of one's own has everything: layers, masks, noise, options, gradients, numpy."""

import copy
import json

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from nn.variants import H, I, as_tuple, draw
from recurra import ops
from recurra.cells import cell, sigmoid, tanh
from recurra.nn import Recurrent
from recurra.reference import Interpreter
from tolerances import assert_all_close, assert_close

B, T = 3, 4
MASK = torch.tensor([[0, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=torch.bool).T


@cell(states="h", gates="f n", init={"f": 1.0}, options="norm keep=inside|outside")
def chosen_gated(x, u, h, opt):
    """Zhou et al. 2016, with a choice of where the forget gate stands."""
    a = opt.norm(x)
    f = sigmoid(a.f + opt.norm(u(h)).f)
    n = tanh(a.n + opt.norm(u(f * h if opt.keep == "inside" else h)).n)
    return dict(f=f, n=n, h=(1 - f) * h + f * n)


@cell(states="h m v", gates="a b c")
def three_states(x, u, h, m, v, opt):
    """Products of two different states, an input gate that no state meets, a state that lags."""
    c = sigmoid(x.c)
    m = c * m + tanh(x.a + u(v).a)
    return dict(h=tanh(u(m).b - x.b) * 0.5, m=m, v=h)


@cell(states="h", gates="a")
def without_recurrence(x, u, h, opt):
    return dict(h=tanh(x.a))


MADE = [
    (chosen_gated, {}),
    (chosen_gated, {"options": {"keep": "outside"}}),
    (chosen_gated, {"layer_norm": True, "num_layers": 2, "bidirectional": True}),
    (chosen_gated, {"zoneout": 0.3, "recurrent_dropout": 0.3}),
    (chosen_gated, {"learn_initial_state": True, "bias": False}),
    (three_states, {}),
    (three_states, {"zoneout": (0.0, 0.5, 0.2), "num_layers": 2, "residual": True}),
    (without_recurrence, {}),
]
IDS = [f"{definition.name} {arguments}" for definition, arguments in MADE]


@pytest.mark.parametrize(("definition", "arguments"), MADE, ids=IDS)
def test_gradients(definition, arguments):
    module = Recurrent(definition, I, H, dtype=torch.float64, **arguments)
    names = [n for n, _ in module.named_parameters()]

    def function(x, *weights):
        torch.manual_seed(0)
        outputs, state = functional_call(
            module, dict(zip(names, weights, strict=True)), (x,), {"mask": MASK}
        )
        return (outputs, *as_tuple(state))

    leaves = [draw(T, B, I).requires_grad_(), *module.parameters()]
    assert gradcheck(function, leaves, fast_mode=True, atol=1e-4)


@pytest.mark.parametrize(("definition", "arguments"), MADE, ids=IDS)
def test_numpy_is_torch(definition, arguments):
    program = Recurrent(definition, I, H, **arguments).program
    sizes = {"gates": len(program.gates), "inputs": I, "hidden": H}
    parameters = {p.name: draw(*p.shape(**sizes), seed=k) for k, p in enumerate(program.parameters)}
    states = tuple(draw(B, H, seed=50 + k) for k in range(len(program.states)))
    by_torch = Interpreter(program, parameters).run(draw(T, B, I), states, valid=MASK, record=True)
    by_numpy = Interpreter(program, {k: v.numpy() for k, v in parameters.items()}).run(
        draw(T, B, I).numpy(), tuple(s.numpy() for s in states), valid=MASK.numpy(), record=True
    )
    assert_close(by_numpy.outputs, by_torch.outputs, "outputs")
    assert_all_close(by_numpy.states, by_torch.states, "states")
    assert_all_close(by_numpy.visible, by_torch.visible, "visible")


@pytest.mark.parametrize("keep", ["inside", "outside"])
def test_the_equations_by_hand(keep):
    module = Recurrent("chosen_gated", I, H, options={"keep": keep}, dtype=torch.float64)
    W, U, b, d = (w.detach() for w in module.all_weights[0])
    x, h = draw(T, B, I), torch.zeros(B, H, dtype=torch.float64)
    outputs, state, gates = module(x, return_gates=True)
    for t in range(T):
        f = torch.sigmoid(x[t] @ W[:H].T + b[:H] + h @ U[:H].T + d[:H])
        inner = f * h if keep == "inside" else h
        n = torch.tanh(x[t] @ W[H:].T + b[H:] + inner @ U[H:].T + d[H:])
        h = (1 - f) * h + f * n
        assert_close(outputs[t], h, f"h at {t}")
        assert_close(gates[0][0]["f"][t], f, f"f at {t}")
    assert_close(state[0], h, "final h")


def test_its_layer_is_a_layer():
    module = Recurrent(chosen_gated, I, H, 2, bidirectional=True, init="orthogonal")
    assert isinstance(module(torch.zeros(T, B, I))[1], torch.Tensor)
    assert (module.bias_ih_l0[:H] == 1).all()
    assert not module.bias_ih_l0[H:].any()
    assert copy.deepcopy(module).program is not None
    assert repr(module).startswith("Recurrent(chosen_gated, 4, 3, num_layers=2")
    _, state = Recurrent(three_states, I, H)(torch.zeros(T, B, I))
    assert [tuple(s.shape) for s in state] == [(1, B, H)] * 3


@cell(states="h", gates="f n v")
def read_in_part(x, u, h, opt):
    """Of the input's product two gates are read, of the recurrent one another two."""
    f = sigmoid(x.f + u(h).f)
    return dict(h=f * h + (1 - f) * tanh(x.n + u(h).v))


@cell(states="h", gates="z n")
def read_of_the_input(x, u, h, opt):
    """Nothing recurrent but the state itself."""
    z = sigmoid(x.z)
    return dict(h=(1 - z) * h + z * x.n)


#: Which gates each matrix has rows for.
SPANS = {read_in_part: ("fn", "fv"), read_of_the_input: ("zn", "")}


@pytest.mark.parametrize("of", SPANS, ids=lambda c: c.name)
def test_matrices_have_rows_for_the_gates_that_are_read(of):
    layer = Recurrent(of, 3, 4, bidirectional=True)
    shapes = {n: tuple(p.shape) for n, p in layer.named_parameters() if n.endswith("_l0")}
    rows = dict(zip(("ih", "hh"), SPANS[of], strict=True))
    expected = {f"weight_{n}_l0": (4 * len(g), 3 if n == "ih" else 4) for n, g in rows.items() if g}
    expected |= {f"bias_{n}_l0": (4 * len(g),) for n, g in rows.items() if g}
    assert shapes == expected


@pytest.mark.parametrize("of", SPANS, ids=lambda c: c.name)
def test_weights_of_layers_that_had_rows_for_every_gate_are_read(of):
    layer = Recurrent(of, 3, 4, num_layers=2)
    old = {}
    for k, inputs in ((0, 3), (1, 4)):
        for product, width in (("ih", inputs), ("hh", 4)):
            gates = dict.fromkeys(of.gates)
            for gate in gates:
                gates[gate] = torch.randn(4, width)
            old[f"weight_{product}_l{k}"] = torch.cat(list(gates.values()))
            old[f"bias_{product}_l{k}"] = torch.randn(4 * len(gates))
    layer.load_state_dict(old)
    for product, own in zip(("ih", "hh"), SPANS[of], strict=True):
        blocks = dict(zip(of.gates, old[f"weight_{product}_l1"].chunk(len(of.gates)), strict=True))
        if own:
            found = getattr(layer, f"weight_{product}_l1")
            assert torch.equal(found, torch.cat([blocks[gate] for gate in own]))
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        layer.load_state_dict({**layer.state_dict(), "bias_ih_l0": torch.zeros(5)})


@pytest.mark.parametrize("of", SPANS, ids=lambda c: c.name)
def test_a_layer_that_was_pickled_with_rows_for_every_gate_runs_as_it_did(of):
    full = of.program().full()
    assert {p.axes[0] for p in full.parameters} == {"GH"}
    assert ops.named(json.dumps([of.name, dict(full.options), full.digest()])) == full
    weights = [
        torch.randn(p.shape(gates=len(of.gates), inputs=3, hidden=4)) for p in full.parameters
    ]
    x, start = torch.randn(5, 2, 3), [torch.zeros(2, 4)]
    call = ops.Call(ops.program_name(full), x, weights, start)
    expected = ops.run_reference(call)[0]
    way, call = ops.route(call._replace(kernels=ops.kernel_name(full, weights[0]) is not None))
    assert way.__name__ == "run_direct"
    found = way(call)[0]
    torch.testing.assert_close(found, expected)
