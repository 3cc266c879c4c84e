"""`return_gates`: what a cell computed at every step, in the layout of the input."""

import torch
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nn.variants import CELLS, LOOPS, H, I, P, draw, paths
from recurra.nn import GRU, LSTM, RNN
from tolerances import assert_all_close, assert_close

B, T = 3, 4


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
                    assert list(direction) == names[variant.layer], f"{variant} {path}"
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


def test_gradients_flow_through_gates():
    module = LSTM(I, H, dtype=torch.float64)
    x = draw(T, B, I).requires_grad_()
    _, _, gates = module(x, return_gates=True)
    gates[0][0]["f"][-1].sum().backward()
    assert (x.grad[0] != 0).any()
