"""The straight way of layers that are nothing but calls of the kernels, against the other way."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrizations

from nn.variants import H, I, P, Variant, as_hx, as_tuple, draw, states_of
from recurra import native
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, Recurrent
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


def around(module: Recurrent) -> Recurrent:
    """The same layer, which finds itself anything but plain."""
    other = copy.deepcopy(module)
    other._is_plain = lambda input: False  # type: ignore[method-assign]
    return other


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
def test_equals_the_other_way(variant, given):
    module = variant.make()
    assert module._is_plain(draw(T, B, I)), "a row for this test"
    expected = results(around(module), given=given)
    for one, other in zip(results(module, given=given), expected, strict=True):
        assert torch.equal(one, other)
    with torch.no_grad():
        again = around(module)(draw(T, B, I))[0]
        torch.manual_seed(0)
        assert module(draw(T, B, I))[0].shape == again.shape


@EACH
@GIVEN
def test_equals_it_with_lengths(variant, given):
    module = variant.make()
    lengths = torch.tensor([3, 0, 4])
    expected = results(around(module), given=given, lengths=lengths)
    for one, other in zip(results(module, given=given, lengths=lengths), expected, strict=True):
        assert torch.equal(one, other)


@EACH
@GIVEN
def test_second_gradients_equal_too(variant, given):
    module = variant.make()
    expected = results(around(module), given=given, again=True)
    assert_all_close(results(module, given=given, again=True), expected, str(variant))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "zoneout", (0.5,)),
        lambda m: setattr(m, "recurrent_dropout", 0.5),
        lambda m: m.to(torch.bfloat16),
        lambda m: parametrizations.weight_norm(m, "weight_ih_l0"),
    ],
    ids=["zoneout", "recurrent dropout", "bfloat16", "parametrised"],
)
def test_what_is_not_plain(change: Callable[[RNN], object]):
    module = RNN(I, H)
    x = torch.zeros(T, B, I)
    assert module._is_plain(x)
    change(module)
    assert not module._is_plain(x)
    assert torch.isfinite(module(x.to(module.bias_hh_l0.dtype))[0]).all()


def test_inputs_that_are_not_plain():
    module, x = RNN(I, H), torch.zeros(T, B, I)
    assert not module._is_plain(x[0])
    assert not module._is_plain(x[..., 1:])
    with torch.autocast("cpu", torch.bfloat16):
        assert not module._is_plain(x)
    with torch.autograd.forward_ad.dual_level():
        assert not module._is_plain(x)


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
