"""Short calls of layers whose weights are kept: the same results, and nothing else about them."""

import copy
import threading

import pytest
import torch
from torch import nn as theirs
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from recurra import native, nn
from recurra.errors import InputError

pytestmark = pytest.mark.skipif(not native.available(), reason="not run: no kernels here")

I, H, P = 5, 24, 7
LAYERS = {
    "rnn": (nn.RNN, {}),
    "rnn, reversed": (nn.RNN, {"reverse": True, "nonlinearity": "relu"}),
    "gru, two ways": (nn.GRU, {"num_layers": 2, "bidirectional": True}),
    "gru, three layers, batch first": (nn.GRU, {"num_layers": 3, "batch_first": True}),
    "gru, no biases": (nn.GRU, {"bias": False, "reset": "before"}),
    "lstm, float64": (nn.LSTM, {"dtype": torch.float64, "batch_first": True}),
    "lstm, projected": (nn.LSTM, {"proj_size": P, "num_layers": 2, "bidirectional": True}),
    "lstm, norm and peepholes": (nn.LSTM, {"layer_norm": True, "peephole": True}),
    "lstm, learnt start": (nn.LSTM, {"learn_initial_state": True}),
    "lstm, residual": (nn.LSTM, {"num_layers": 2, "residual": True}),
    "lstm, dropout": (nn.LSTM, {"num_layers": 2, "dropout": 0.5, "zoneout": 0.2}),
}
CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
#: Steps and rows.
SIZES = [(1, 1), (1, 4), (3, 2), (128, 1), (129, 1), (0, 2), (2, 0)]
EACH = pytest.mark.parametrize("layer", LAYERS)


def make(name):
    cls, options = LAYERS[name]
    torch.manual_seed(3)
    return cls(I, H, **options).eval()


def flat(value):
    return [t for v in value for t in flat(v)] if isinstance(value, tuple) else [value]


def draw(*shape, like):
    return torch.randn(*shape, dtype=next(like.parameters()).dtype)


def states(module, batch, axes=3):
    rows = module.num_layers * module.num_directions if axes == 3 else None
    widths = module.state_sizes if axes == 3 else [H] * len(module.cell.states)
    shapes = [(rows, batch, w) if axes == 3 else (batch, w) for w in widths]
    found = tuple([draw(*shape, like=module) for shape in shapes])
    return found if len(found) > 1 else found[0]


def assert_as_before(module, *given, calls=4):
    """All calls without gradients are as the first, whose weights are not kept."""
    module._forget_weights()
    with torch.no_grad():
        first = flat(module(*given))
        for call in range(calls):
            for one, other in zip(flat(module(*given)), first, strict=True):
                assert one.shape == other.shape
                assert one.dtype == other.dtype
                assert torch.equal(one, other), f"call {call}"


@EACH
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_results_are_those_of_other_calls(layer, size):
    module, (steps, batch) = make(layer), size
    x = draw(batch, steps, I, like=module) if module.batch_first else draw(*size, I, like=module)
    assert_as_before(module, x)
    assert_as_before(module, x, states(module, batch))
    assert_as_before(module, x.mT.contiguous().mT)
    assert_as_before(module, torch.cat([x, x])[::2] if len(x) > 1 else x)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("batch", [1, 4, 128, 200])
def test_cells_take_the_same_way(cell, batch):
    module = CELLS[cell](I, H)
    x = draw(batch, I, like=module)
    assert_as_before(module, x)
    assert_as_before(module, x, states(module, batch, axes=2))
    assert_as_before(module, x[0])


def warm(module, *given):
    with torch.no_grad():
        for _ in range(3):
            module(*given)
    assert module._prepared._run is not None
    return module


def elsewhere(module, x):
    """What a copy of the module, which has kept nothing, returns."""
    return flat(copy.deepcopy(module)(x))


def set_one(name, value):
    return lambda module: setattr(module, name, value)


#: Settings that change while weights are kept.
SETTINGS = {
    "zoneout": set_one("zoneout", (0.5, 0.25)),
    "reverse": set_one("reverse", True),
    "batch first": set_one("batch_first", True),
    "residual": set_one("residual", True),
    "no kernels": set_one("_kernel", None),
    "a learnt start": lambda m: m.register_parameter(
        "initial_h", theirs.Parameter(torch.ones(2, H))
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_count_from_the_next_call_on(setting):
    module, x = nn.LSTM(I, H, 2).eval(), torch.randn(3, 3, I)
    before = flat(warm(module, x)(x))
    SETTINGS[setting](module)
    with torch.no_grad():
        for _ in range(3):
            found = flat(module(x))
            for one, other in zip(found, elsewhere(module, x), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    if setting != "no kernels":
        assert not torch.equal(found[0], before[0])


def test_training_mode_draws_its_noise():
    module, x = nn.LSTM(I, H, 2, dropout=0.5), torch.randn(3, 3, I)
    module.eval()
    calm = warm(module, x)(x)[0]
    module.train()
    with torch.no_grad():
        drawn = [module(x)[0] for _ in range(4)]
    assert not torch.equal(drawn[2], drawn[3])
    module.eval()
    with torch.no_grad():
        assert torch.equal(module(x)[0], calm)


class Seen(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        names.append(str(function))
        return function(*args, **(kwargs or {}))


names: list[str] = []


def test_modes_and_transformations_see_their_operators():
    module, x = nn.GRU(I, H), torch.randn(2, 2, I)
    warm(module, x)
    with torch.no_grad():
        expected = module(x)[0]
        with Seen():
            module(x)
        assert any("recurrent" in name for name in names)
        found = torch.func.vmap(lambda x: module(x)[0], randomness="same")(x[None])
        torch.testing.assert_close(found[0], expected)
        given = {n: p * 2 for n, p in module.named_parameters()}
        assert not torch.equal(functional_call(module, given, (x,))[0], expected)
        assert torch.equal(module(x)[0], expected)
        with torch.autograd.forward_ad.dual_level():
            torch.testing.assert_close(module(x)[0], expected)  # by the reference
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(module(x)[0], expected)
        with torch.device("meta"):
            assert torch.equal(module(x)[0], expected)
    outputs = module(x.requires_grad_())[0]
    assert outputs.requires_grad, "gradients are for other calls"


def test_hooks_are_called():
    module, x = nn.GRU(I, H), torch.randn(2, 2, I)
    warm(module, x)
    seen = []
    module.register_forward_pre_hook(lambda *_: seen.append("before"))
    module.register_forward_hook(lambda *_: seen.append("after"))
    with torch.no_grad():
        module(x)
    assert seen == ["before", "after"]


def test_inference_mode_returns_its_tensors():
    module, x = nn.LSTM(I, H), torch.randn(1, 1, I)
    warm(module, x)
    with torch.inference_mode():
        assert all(t.is_inference() for t in flat(module(x)))
    with torch.no_grad():
        found = flat(module(x))
    assert not any(t.is_inference() or t.requires_grad for t in found)
    assert len({t.data_ptr() for t in found}) == len(found)


def test_results_are_the_callers_own():
    module, x = nn.GRU(I, H), torch.randn(1, 1, I)
    warm(module, x)
    with torch.no_grad():
        first = module(x)
        before = [t.clone() for t in first]
        for t in module(torch.randn(1, 1, I)):
            t.fill_(7)
        assert all(torch.equal(a, b) for a, b in zip(first, before, strict=True))


WRONG = {
    "features": (torch.zeros(1, 1, I + 1), None),
    "dtype": (torch.zeros(1, 1, I, dtype=torch.float64), None),
    "integers": (torch.zeros(1, 1, I, dtype=torch.int64), None),
    "device": (torch.zeros(1, 1, I, device="meta"), None),
    "sparse": (torch.zeros(1, 1, I).to_sparse(), None),
    "rows of the states": (torch.zeros(1, 1, I), (torch.zeros(1, 2, H),) * 2),
    "one state": (torch.zeros(1, 1, I), torch.zeros(1, 1, H)),
    "three states": (torch.zeros(1, 1, I), (torch.zeros(1, 1, H),) * 3),
    "another dtype of states": (torch.zeros(1, 1, I), (torch.zeros(1, 1, H).double(),) * 2),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_refused_as_before(wrong):
    module = nn.LSTM(I, H)
    warm(module, torch.zeros(1, 1, I))
    with torch.no_grad():
        with pytest.raises(InputError):
            module(*WRONG[wrong])
        assert module._prepared._run is not None, "it is not the weights that are wrong"


def test_negative_views_are_read_as_their_values():
    module, x = nn.GRU(I, H), torch.randn(1, 1, I)
    warm(module, x)
    negative = torch.complex(x, -x).conj().imag
    assert negative.is_neg()
    with torch.no_grad():
        assert torch.equal(module(negative)[0], module(x.clone())[0])
        data = module.weight_hh_l0.data
        module.weight_hh_l0.data = torch._neg_view(data)
        assert torch.equal(module(x)[0], copy.deepcopy(module)(x)[0])
        module.weight_hh_l0.data = data


def test_a_square_matrix_that_is_turned_is_noticed():
    module, x = nn.RNN(H, H), torch.randn(1, 1, H)
    h = torch.randn(1, 1, H)
    warm(module, x, h)
    module.weight_hh_l0.data = module.weight_hh_l0.data.t()
    with torch.no_grad():
        assert torch.equal(module(x, h)[0], copy.deepcopy(module)(x, h)[0])


def test_threads_call_with_several_sizes_while_weights_change():
    module = nn.LSTM(I, H, 2)
    inputs = [torch.randn(t, b, I) for t, b in SIZES[:4]]
    versions = [{n: v * k for n, v in module.state_dict().items()} for k in (1, 2)]
    expected = []
    for version in versions:
        new = nn.LSTM(I, H, 2)
        new.load_state_dict(version)
        with torch.no_grad():
            expected.append([new(x)[0] for x in inputs])
    wrong = []

    def work():
        with torch.no_grad():
            for k in range(120):
                n = k % len(inputs)
                if not torch.equal(module(inputs[n])[0], expected[0][n]):
                    wrong.append(k)

    for _ in range(3):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        module.load_state_dict(versions[1])
        with torch.no_grad():
            for x, y in zip(inputs, expected[1], strict=True):
                assert torch.equal(module(x)[0], y)
        module.load_state_dict(versions[0])
    assert not wrong


def test_nothing_is_held_of_weights_that_changed():
    module, x = nn.LSTM(I, H), torch.randn(1, 1, I)
    warm(module, x)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module(x)[0].sum().backward()
    optimizer.step()
    module(x)
    assert module._prepared._run is None
