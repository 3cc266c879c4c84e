"""`return_gates`: what a cell computed at every step, in the layout of the input."""

import pytest
import torch
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nn.variants import (
    CELLS,
    LOOPS,
    NOISY,
    H,
    I,
    P,
    Variant,
    as_tuple,
    draw,
    gradients,
    on,
    paths,
)
from recurra.nn import GRU, LSTM, RNN
from recurra.reference import Interpreter
from tolerances import assert_all_close, assert_close

B, T = 3, 4
MASK = torch.tensor([[0, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=torch.bool).T


def by_hand(module, x, suffix):
    """Gates of an LSTM from zero states, (T, B, H) by name."""
    w, u, b, d = (
        module.get_parameter(f"{name}_{suffix}")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = x.new_zeros(x.shape[1], H)
    found = {name: [None] * len(x) for name in "ifgoch"}
    for t in reversed(range(len(x))) if suffix.endswith("reverse") else range(len(x)):
        i, f, g, o = (linear(x[t], w, b) + linear(h, u, d)).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        for name, value in dict(i=i, f=f, g=g, o=o, c=c, h=h).items():
            found[name][t] = value
    return {name: torch.stack(values) for name, values in found.items()}


def test_values_of_every_layer_and_direction():
    module = LSTM(I, H, 2, bidirectional=True, dtype=torch.float64)
    x = draw(T, B, I)
    outputs, state, gates = module(x, return_gates=True)
    plain, plain_state = module(x)
    assert_close(outputs, plain, "outputs are the same with gates")
    assert_all_close(state, plain_state, "states are the same with gates")
    assert [len(layer) for layer in gates] == [2, 2]
    for layer in range(2):
        expected = [by_hand(module, x, f"l{layer}{end}") for end in ("", "_reverse")]
        for direction in range(2):
            what = f"layer {layer} direction {direction}"
            assert_all_close(gates[layer][direction], expected[direction], what)
        x = torch.cat([e["h"] for e in expected], dim=-1)


def test_names_and_layouts():
    names = {
        RNN: ["h"],
        LSTM: ["i", "f", "g", "o", "c", "h"],
        GRU: ["r", "z", "n", "h"],
    }
    for variant in CELLS + LOOPS:
        for path, module in paths(variant):
            _, _, gates = module(draw(T, B, I), return_gates=True)
            assert len(gates) == module.num_layers
            for layer in gates:
                assert len(layer) == module.num_directions
                for direction in layer:
                    known = names.get(variant.layer) or [n for n, _ in module.program.visible]
                    assert list(direction) == known, f"{variant} {path}"
                    for name, value in direction.items():
                        projected = name == "h" and module.proj_size
                        expected = (T, B, P if projected else H)
                        assert tuple(value.shape) == expected, f"{variant} {path} {name}"


def test_gates_come_in_the_layout_of_the_input():
    module = GRU(I, H, dtype=torch.float64)
    first = GRU(I, H, batch_first=True, dtype=torch.float64)
    first.load_state_dict(module.state_dict())
    x = draw(T, B, I)
    expected = module(x, return_gates=True)[2][0][0]
    turned = first(x.transpose(0, 1), return_gates=True)[2][0][0]
    alone = module(x[:, 1], return_gates=True)[2][0][0]
    for name, value in expected.items():
        assert_close(turned[name], value.transpose(0, 1), f"{name}: batch first")
        assert_close(alone[name], value[:, 1], f"{name}: unbatched")
    lengths = torch.tensor([2, 4, 3])
    outputs, _, gates = module(
        pack_padded_sequence(x, lengths, enforce_sorted=False), return_gates=True
    )
    padded, _ = pad_packed_sequence(outputs)
    assert_close(gates[0][0]["h"], padded, "packed: padded with zeros")


def test_gates_are_zero_where_no_step_counts():
    mask = draw(T, B, seed=1) > 0
    for variant in CELLS:
        for path, module in paths(variant):
            x = draw(T, B, I).masked_fill(~mask[..., None], float("nan"))
            outputs, _, gates = module(x, mask=mask, return_gates=True)
            for name, value in gates[0][0].items():
                assert not value[~mask].any(), f"{variant} {path} {name}"
            assert_close(gates[0][0]["h"], outputs, f"{variant} {path}")


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
@pytest.mark.parametrize("variant", CELLS + LOOPS + NOISY, ids=str)
def test_kernels_equal_the_reference(variant, mask):
    """With zoneout, states are shown as the cell computed them, in training and in evaluation."""
    for training in (True, False):
        found = {}
        for path, module in paths(variant):
            torch.manual_seed(3)
            module.train(training)
            outputs, _, gates = module(draw(T, B, I), mask=mask, return_gates=True)
            found[path] = [outputs, *(v for g in gates for d in g for v in d.values())]
        for path, values in found.items():
            assert_all_close(values, found["reference"], path)


@pytest.mark.parametrize(
    "variant", [v for v in CELLS + LOOPS + NOISY if v.make()._kernel is not None], ids=str
)
def test_the_kernels_do_it_alone(variant, monkeypatch):
    module = variant.make()
    monkeypatch.setattr(Interpreter, "loop", None)
    outputs, _, gates = on("native", module)(draw(T, B, I), return_gates=True)
    assert gates[0][0]["h"].any()
    outputs.sum().backward()
    with torch.no_grad():
        module(draw(T, B, I), return_gates=True)


@pytest.mark.parametrize("variant", [Variant(RNN), Variant(GRU), *LOOPS, *NOISY], ids=str)
def test_gradients_flow_through_gates(variant):
    found = {}
    for path, module in paths(variant):
        torch.manual_seed(3)
        x = draw(T, B, I).requires_grad_()
        outputs, state, gates = module(x, mask=MASK, return_gates=True)
        flat = [outputs, *as_tuple(state), *(v for g in gates for d in g for v in d.values())]
        found[path] = gradients(flat, [x, *module.parameters()])
    for path, values in found.items():
        assert_all_close(values, found["reference"], path)
        assert values[0].any()


def test_a_gate_alone_has_a_gradient():
    for path, module in paths(Variant(LSTM)):
        x = draw(T, B, I).requires_grad_()
        _, _, gates = module(x, return_gates=True)
        gates[0][0]["f"][-1].sum().backward()
        assert (x.grad[0] != 0).any(), path


def test_no_step_and_no_row():
    for path, module in paths(Variant(LSTM, {"num_layers": 2})):
        for steps, rows in ((0, B), (T, 0), (1, 1)):
            outputs, _, gates = module(draw(steps, rows, I), return_gates=True)
            assert outputs.shape == (steps, rows, H)
            for layer in gates:
                for value in layer[0].values():
                    assert value.shape == (steps, rows, H), path


def test_gates_are_the_callers_own():
    """To write to them changes neither outputs nor gradients."""
    for path, module in paths(Variant(LSTM)):
        grads = []
        for spoil in (False, True):
            x = draw(T, B, I).requires_grad_()
            outputs, _, gates = module(x, return_gates=True)
            before = outputs.detach().clone()
            for value in gates[0][0].values() if spoil else ():
                value.detach().zero_()
            assert torch.equal(outputs, before)
            outputs.sum().backward()
            grads.append(x.grad)
        assert torch.equal(*grads), path
