"""The loop gate by gate beside the reference: values, all gradients, gradients of gradients."""

import itertools

import pytest
import torch

from recurra import ops
from recurra.cells import gru, lstm, rnn
from recurra.keras.gatewise import Call, gatewise
from recurra.keras.masked import masked
from tolerances import assert_all_close, assert_close

PROGRAMS = [
    lstm.program(),
    lstm.program(bias=False),
    lstm.program(activation="softsign", recurrent_activation="softplus"),
    gru.program(reset="after"),
    gru.program(reset="before"),
    gru.program(activation="softplus", recurrent_activation="softsign"),
    rnn.program(),
    rnn.program(activation="identity"),
    rnn.program(activation="relu"),
    rnn.program(activation="exp"),
]
T, B, I, H = 5, 3, 2, 4


def name(program):
    return "-".join(str(v) for _, v in (("", program.cell), *program.options))


class Case:
    """One layer, to be run by both; a mask for all gates is what the reference knows."""

    def __init__(self, program, *, reverse, masked, dropped, steps=T):
        torch.manual_seed(3)
        make = dict(dtype=torch.float64)
        self.program, self.reverse = program, reverse
        sizes = {"gates": len(program.gates), "inputs": I, "hidden": H}
        self.weights = {
            p.name: (0.4 * torch.randn(p.shape(**sizes), **make)).requires_grad_()
            for p in program.parameters
        }
        self.x = torch.randn(steps, B, I, **make).requires_grad_()
        self.states = [torch.randn(B, H, **make).requires_grad_() for _ in program.states]
        self.valid = torch.rand(steps, B) < 0.6 if masked else None
        self.mask = 2 * (torch.rand(B, H) < 0.5).to(torch.float64) if dropped else None
        self.dy = torch.randn(steps, B, H, **make)
        self.dlast = [torch.randn(B, H, **make) for _ in self.states]
        self.leaves = [self.x, *self.weights.values(), *self.states]

    def reference(self):
        outputs, *states = ops.run_reference(self.call(self.program, self.states))
        return outputs, tuple(states)

    def call(self, program, states):
        weights = [self.weights[p.name] for p in program.parameters]
        given = ops.program_name(program), self.x, weights, states, self.valid, self.mask
        return ops.Call(*given, reverse=self.reverse)

    def ours(self, masks=None):
        gates = len(self.program.gates)
        x = self.x if self.valid is None else torch.where(self.valid[..., None], self.x, 0.0)
        gated = (x @ self.weights["weight_ih"].T).unflatten(-1, (gates, H)).permute(2, 0, 1, 3)
        bias = None
        if self.program.option("bias"):
            gated = gated + self.weights["bias_ih"].view(gates, 1, 1, H)
            bias = self.weights["bias_hh"].view(gates, H)
        u = self.weights["weight_hh"].view(gates, H, H).transpose(1, 2)
        if masks is None and self.mask is not None:
            masks = self.mask.expand(gates, B, H)
        return gatewise(
            Call(self.program, gated, u, bias, self.states, masks, self.valid, self.reverse)
        )

    def loss(self, outputs, states):
        return (outputs * self.dy).sum() + sum(
            (s * d).sum() for s, d in zip(states, self.dlast, strict=True)
        )

    def gradients(self, outputs, states, **how):
        return torch.autograd.grad(self.loss(outputs, states), self.leaves, **how)


@pytest.mark.parametrize("program", PROGRAMS, ids=name)
@pytest.mark.parametrize(
    ("reverse", "masked", "dropped"), list(itertools.product((False, True), repeat=3))
)
def test_it_is_the_reference(program, reverse, masked, dropped):
    case = Case(program, reverse=reverse, masked=masked, dropped=dropped)
    expected, found = case.reference(), case.ours()
    assert_close(found[0], expected[0], "outputs")
    assert_all_close(found[1], expected[1], "states")
    gradients = case.gradients(*expected)
    assert_all_close(case.gradients(*found, retain_graph=True), gradients, "gradients")
    again = case.gradients(*found, create_graph=True)
    assert_all_close(again, gradients, "gradients with a graph")


@pytest.mark.parametrize("program", PROGRAMS[:8], ids=name)
def test_gradients_of_gradients(program):
    case = Case(program, reverse=False, masked=True, dropped=True)
    for a, b in [(case.reference(), case.ours())]:
        first, second = (
            torch.autograd.grad(
                sum((g * g).sum() for g in case.gradients(*run, create_graph=True)), case.leaves
            )
            for run in (a, b)
        )
        assert_all_close(second, first, "second gradients")


FINITE = [
    lstm.program(),
    gru.program(),
    gru.program(reset="before"),
    # torch's own derivative of it knows a sixth to float32 only
    lstm.program(recurrent_activation="hard_sigmoid"),
]


@pytest.mark.parametrize("program", FINITE, ids=name)
def test_every_gate_has_its_own_mask(program):
    """By finite differences, and by a mask that leaves one gate's product alone."""
    case = Case(program, reverse=True, masked=True, dropped=False, steps=3)
    masks = 2 * (torch.rand(len(program.gates), B, H) < 0.5).to(torch.float64)

    def run(*leaves):
        case.x, case.states = leaves[0], list(leaves[1 + len(case.weights) :])
        case.weights = dict(zip(case.weights, leaves[1:], strict=False))
        outputs, states = case.ours(masks)
        return outputs, *states

    assert torch.autograd.gradcheck(run, case.leaves)
    outputs = run(*case.leaves)[0]
    for gate in range(len(program.gates)):
        other = masks.clone()
        other[gate] = 1.0
        assert not torch.allclose(case.ours(other)[0], outputs)


def test_it_takes_no_step_where_there_is_none():
    case = Case(lstm.program(), reverse=False, masked=False, dropped=False, steps=0)
    outputs, states = case.ours()
    assert outputs.shape == (0, B, H)
    assert_all_close(states, case.states, "states")
    found = torch.autograd.grad(sum(s.sum() for s in states), case.states)
    assert_all_close(found, [torch.ones(B, H, dtype=torch.float64)] * 2, "gradients")


@pytest.mark.parametrize(
    ("program", "reset"), [(lstm, {}), (gru, {}), (gru, {"reset": "before"})], ids=str
)
def test_the_cell_whose_states_are_masks_is_the_same(program, reset):
    """Interpreted, not compiled: the equations are what is compared."""
    case = Case(program.program(**reset), reverse=True, masked=True, dropped=False)
    masks = 2 * (torch.rand(len(program.gates), B, H) < 0.5).to(torch.float64)
    outputs, states = case.ours(masks)
    call = case.call(masked(program).program(**reset), [*case.states, *masks])
    found, *ended = ops.run_reference(call)
    assert_close(found, outputs, "outputs")
    assert_all_close(ended, [*states, *masks], "states")
    gradients = case.gradients(found, ended[: len(states)])
    assert_all_close(gradients, case.gradients(outputs, states), "gradients")
