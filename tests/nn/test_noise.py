"""Noise of the loop and what stands between layers, against the same thing put together by hand."""

import pytest
import torch
from torch.nn import functional

from nn.variants import NOISY, PATHS, H, I, P, as_hx, draw, on, paths, states_of
from recurra import ops
from recurra.nn import GRU, LSTM, RNN
from tolerances import assert_close

B, T = 3, 5
EACH_PATH = pytest.mark.parametrize("path", PATHS)


def test_noise_is_drawn_in_training_only_and_anew_at_each_call():
    for variant in NOISY:
        for path, module in paths(variant):
            x, hx = draw(T, B, I), as_hx(states_of(module, B))
            module.train()
            torch.manual_seed(0)
            first, second = module(x, hx)[0], module(x, hx)[0]
            assert not torch.equal(first, second), f"{variant} {path}"
            torch.manual_seed(0)
            assert torch.equal(module(x, hx)[0], first), f"{variant} {path}: the seed decides"
            module.eval()
            assert torch.equal(module(x, hx)[0], module(x, hx)[0]), f"{variant} {path}: evaluation"


def test_evaluation_without_zoneout_is_the_plain_layer():
    plain = LSTM(I, H, 2, dtype=torch.float64)
    noisy = LSTM(
        I, H, 2, dropout=0.5, recurrent_dropout=0.5, weight_drop=0.5, dtype=torch.float64
    ).eval()
    noisy.load_state_dict(plain.state_dict())
    assert_close(noisy(draw(T, B, I))[0], plain(draw(T, B, I))[0], "evaluation")


def test_zoneout_of_one_keeps_and_of_zero_does_not():
    for training in (True, False):
        module = LSTM(I, H, zoneout=(0, 1), dtype=torch.float64).train(training)
        h, c = states_of(module, B)
        _, (_, ended) = module(draw(T, B, I), (h, c))
        assert_close(ended, c, "all of c stays")
        module = LSTM(I, H, zoneout=1, dtype=torch.float64).train(training)
        outputs, (ended, _) = module(draw(T, B, I), (h, c))
        assert_close(outputs, h.expand(T, B, H), "every output is the first h")
        assert_close(ended, h, "all of h stays")


def test_zoneout_keeps_units_at_its_rate_and_anew_each_step():
    rate, units = 0.3, 400
    module = GRU(I, units, zoneout=rate).train()
    h = torch.full((1, 8, units), 5.0)  # beyond what a GRU reaches in a step: kept ones show
    outputs, _ = module(draw(2, 8, I, dtype=torch.float32), h)
    kept = outputs[0] == 5.0
    share = kept.float().mean().item()
    deviation = (rate * (1 - rate) / kept.numel()) ** 0.5
    assert abs(share - rate) < 5 * deviation
    still = (outputs[1] == outputs[0]) & ~kept
    assert abs(still.sum() / (~kept).sum() - rate) < 5 * deviation * 1.3, "a mask of its own"


def test_recurrent_dropout_is_one_mask_a_sequence():
    """With weights that carry h over, dropped units are the same at each step, others doubled."""
    units = 64
    module = RNN(I, units, nonlinearity="identity", bias=False, recurrent_dropout=0.5).train()
    with torch.no_grad():
        module.weight_ih_l0.zero_()
        module.weight_hh_l0.copy_(torch.eye(units))
    outputs, _ = module(torch.zeros(3, 4, I), torch.ones(1, 4, units))
    survivors = outputs[0] > 0
    assert 0.3 < survivors.float().mean() < 0.7
    assert not torch.equal(survivors[0], survivors[1]), "a mask of its own for each sequence"
    for t in range(3):
        assert torch.equal(outputs[t], survivors * 2.0 ** (t + 1)), f"step {t}"


@EACH_PATH
def test_weight_drop_is_dropout_of_the_recurrent_weights(path):
    module = on(path, LSTM(I, H, 2, weight_drop=0.5, bidirectional=True, dtype=torch.float64))
    plain = LSTM(I, H, 2, bidirectional=True, dtype=torch.float64)
    plain.load_state_dict(module.state_dict())
    torch.manual_seed(3)
    outputs, _ = module.train()(draw(T, B, I))
    torch.manual_seed(3)
    with torch.no_grad():
        for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
            weight = plain.get_parameter(f"weight_hh_{suffix}")
            weight.copy_(functional.dropout(weight, 0.5))
    assert_close(outputs, plain(draw(T, B, I))[0], "weight drop")
    outputs.sum().backward()
    dropped = (module.weight_hh_l0.grad == 0).float().mean()
    assert 0.2 < dropped < 0.8, "no gradient through a dropped weight"


@EACH_PATH
@pytest.mark.parametrize("projection", [0, P])
def test_residual_connections(path, projection):
    """Layer by layer by hand: y = layer(x) + x above the first; dropout before the next layer."""
    kind = {"proj_size": projection, "bidirectional": True, "dtype": torch.float64}
    module = on(path, LSTM(I, H, 3, residual=True, **kind)).eval()
    mask = draw(T, B, seed=2) > -0.5
    states = states_of(module, B)
    outputs, (h, c) = module(draw(T, B, I), states, mask=mask)
    x = draw(T, B, I)
    for layer in range(3):
        alone = LSTM(x.shape[-1], H, **kind)
        alone.load_state_dict(
            {
                k.replace(f"_l{layer}", "_l0"): v
                for k, v in module.state_dict().items()
                if f"_l{layer}" in k
            }
        )
        part = slice(2 * layer, 2 * layer + 2)
        y, ended = alone(x, tuple(s[part] for s in states), mask=mask)
        assert_close(h[part], ended[0], f"h of layer {layer}")
        assert_close(c[part], ended[1], f"c of layer {layer}")
        x = y + x if layer else y
    assert_close(outputs, x, "outputs")


def test_fixed_noise_on_the_op():
    """The op with masks given equals the layer that draws the same masks."""
    module = GRU(I, H, recurrent_dropout=0.5, zoneout=0.5, dtype=torch.float64).train()
    state = states_of(module, B)
    torch.manual_seed(6)
    outputs, _ = module(draw(T, B, I), state[0])
    torch.manual_seed(6)
    mask = functional.dropout(torch.ones(B, H, dtype=torch.float64), 0.5)
    keep = (torch.rand(T, B, H) < 0.5).double()
    weights = [module.get_parameter(f"{p.name}_l0") for p in module.program.parameters]
    name = ops.program_name(module.program)
    call = ops.Call(name, draw(T, B, I), weights, [state[0][0]], None, mask, [keep], [0.0])
    assert_close(outputs, ops.run_reference(call)[0], "outputs")
