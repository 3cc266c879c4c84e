"""Layers of torch.nn become ours and go back: weights to the bit, outputs equal."""

import copy
import itertools

import pytest
import torch
from torch import nn as theirs

from nn.variants import H, I, P, as_tuple, draw
from recurra import from_torch, nn, to_torch
from recurra.cells import cell, tanh
from recurra.errors import InputError
from tolerances import assert_all_close

B, T = 3, 5
OURS = {theirs.RNN: nn.RNN, theirs.LSTM: nn.LSTM, theirs.GRU: nn.GRU}
CELLS = {theirs.RNNCell: nn.RNNCell, theirs.LSTMCell: nn.LSTMCell, theirs.GRUCell: nn.GRUCell}


@cell(states="h", gates="a")
def plain_sum(x, u, h, opt):
    return dict(h=tanh(x.a + u(h).a))


def layers():
    kinds = [(theirs.RNN, {}), (theirs.RNN, {"nonlinearity": "relu"}), (theirs.GRU, {})]
    kinds += [(theirs.LSTM, {}), (theirs.LSTM, {"proj_size": P})]
    for (kind, more), bias, both, first, depth in itertools.product(
        kinds, (True, False), (True, False), (True, False), (1, 3)
    ):
        arguments = {"bias": bias, "bidirectional": both, "batch_first": first, "num_layers": depth}
        yield kind, {**more, **arguments, "dropout": 0.25 if depth > 1 else 0.0}


def equal_bits(one, other):
    first, second = one.state_dict(), other.state_dict()
    same = list(first) == list(second)
    return same and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_layers(dtype):
    for kind, arguments in layers():
        module = kind(I, H, dtype=dtype, **arguments).eval()
        made = from_torch(module)
        text = f"{kind.__name__} {arguments}"
        assert type(made) is OURS[kind], text
        assert equal_bits(made, module), text
        assert not made.training
        shared = {p.data_ptr() for p in module.parameters()} & {
            p.data_ptr() for p in made.parameters()
        }
        assert not shared, text
        names = ("dropout", "bias", "batch_first", "bidirectional", "num_layers", "proj_size")
        assert {n: getattr(made, n) for n in names} == {n: getattr(module, n) for n in names}, text
        back = to_torch(made)
        assert type(back) is kind
        assert equal_bits(back, module), text
        assert repr(back) == repr(module)
        if dtype == torch.bfloat16:
            continue
        x = draw(T, B, I, dtype=dtype)
        for one in (made, back):
            outputs, state = one(x)
            expected, ended = module(x)
            assert_all_close([outputs, *as_tuple(state)], [expected, *as_tuple(ended)], text)


@pytest.mark.parametrize("kind", CELLS)
def test_cells(kind):
    options = [{"bias": b} for b in (True, False)]
    options += [{"nonlinearity": "relu"}] if kind is theirs.RNNCell else []
    for arguments in options:
        module = kind(I, H, dtype=torch.float64, **arguments)
        made = from_torch(module)
        assert type(made) is CELLS[kind]
        assert equal_bits(made, module)
        assert repr(to_torch(made)) == repr(module)
        assert equal_bits(to_torch(made), module)
        h = draw(B, H, seed=1)
        hx = (h, draw(B, H, seed=2)) if kind is theirs.LSTMCell else h
        x = draw(B, I)
        assert_all_close(as_tuple(made(x, hx)), as_tuple(module(x, hx)), f"{kind} {arguments}")


def test_a_module_that_holds_some():
    inner = theirs.GRU(4, 4)
    module = theirs.ModuleDict(
        {"a": theirs.Sequential(theirs.Linear(3, 4), theirs.LSTMCell(4, 4)), "b": inner, "c": inner}
    )
    module["b"].weight_hh_l0.requires_grad_(False)
    before = copy.deepcopy(module.state_dict())
    made = from_torch(module)
    assert isinstance(made["a"][1], nn.LSTMCell)
    assert isinstance(made["b"], nn.GRU)
    assert made["b"] is made["c"], "one layer in two places stays one"
    assert isinstance(made["a"][0], theirs.Linear)
    assert equal_bits(made, module)
    assert isinstance(module["b"], theirs.GRU), "the module itself is left alone"
    assert [p.requires_grad for p in made.parameters()] == [
        p.requires_grad for p in module.parameters()
    ]
    back = to_torch(made)
    assert repr(back) == repr(module)
    assert all(torch.equal(back.state_dict()[n], before[n]) for n in before)


def test_layers_that_share_weights_go_on_sharing_them():
    module = theirs.ModuleList([theirs.GRU(4, 4), theirs.GRU(4, 4), theirs.Linear(4, 12)])
    module[1].weight_hh_l0 = module[0].weight_hh_l0
    module[2].weight = module[0].weight_ih_l0
    made = from_torch(module)
    assert made[1].weight_hh_l0 is made[0].weight_hh_l0 is not module[0].weight_hh_l0
    assert made[2].weight is made[0].weight_ih_l0
    back = to_torch(made)
    assert back[1].weight_hh_l0 is back[0].weight_hh_l0 is not made[0].weight_hh_l0
    x = torch.randn(2, 3, 4)
    with torch.no_grad():
        back[0].weight_hh_l0.zero_()
    changed = theirs.GRU(4, 4)
    changed.load_state_dict(back[1].state_dict())
    assert_all_close([back[1](x)[0]], [changed(x)[0]], "what torch keeps aside is the same")
    assert_all_close([made[1](x)[0]], [module[1](x)[0]], "the others are left alone")


def test_nothing_random_is_drawn():
    module = theirs.LSTM(I, H)
    before = torch.get_rng_state()
    to_torch(from_torch(module))
    assert torch.equal(torch.get_rng_state(), before)


class WithoutState(theirs.LSTM):
    def forward(self, input):
        return super().forward(input)[0]


class Named(theirs.GRU):
    """A class of one's own that computes what its base does."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WithoutState(I, H), "WithoutState has a forward of its own, which would be lost"),
        (lambda: theirs.Sequential(WithoutState(I, H)), "WithoutState has a forward of its own"),
        (
            lambda: theirs.utils.parametrizations.weight_norm(theirs.GRU(I, H), "weight_hh_l0"),
            r"ParametrizedGRU has the parameters parametrizations.weight_hh_l0.original0, .* lacks",
        ),
    ],
)
def test_what_would_be_lost_is_refused(make, message):
    with pytest.raises(InputError, match=message) as caught:
        from_torch(make())
    assert "\n" not in str(caught.value)
    assert type(from_torch(Named(I, H))) is nn.GRU


@pytest.mark.parametrize(
    ("make", "lacks"),
    [
        (lambda: nn.LSTM(I, H, layer_norm=True, peephole=True), "layer_norm=True, peephole=True"),
        (lambda: nn.GRU(I, H, reset="before"), "reset='before'"),
        (lambda: nn.GRU(I, H, zoneout=0.5, weight_drop=0.1), "weight_drop=0.1, zoneout="),
        (lambda: nn.LSTM(I, H, activation="relu"), "activation='relu'"),
        (lambda: nn.LSTMCell(I, H, recurrent_activation="hard_sigmoid"), "recurrent_activation="),
        (lambda: nn.RNN(I, H, activation="softsign"), "activation='softsign'"),
        (lambda: nn.RNN(I, H, reverse=True, recurrent_dropout=0.5), "reverse=True, recurrent_drop"),
        (lambda: nn.RNN(I, H, bidirectional=True, merge="sum"), "merge='sum'"),
        (lambda: nn.RNN(I, H, 2, residual=True), "residual=True"),
        (lambda: nn.GRU(I, H, learn_initial_state=True), "learn_initial_state=True"),
        (lambda: nn.Recurrent(plain_sum, I, H), "the cell plain_sum"),
    ],
)
def test_what_torch_lacks_is_named(make, lacks):
    with pytest.raises(InputError, match=f"torch.nn has no layer for this .*: it lacks {lacks}"):
        to_torch(make())


@pytest.mark.parametrize("convert", [from_torch, to_torch])
@pytest.mark.parametrize("given", [theirs.Linear(2, 3), theirs.Sequential(), "lstm", None])
def test_nothing_recurrent(convert, given):
    what = "a recurrent .*" if isinstance(given, theirs.Module) else "a Module"
    named = {"lstm": "the text 'lstm'", None: "None"}
    received = type(given).__name__ if what != "a Module" else named[given]
    with pytest.raises(InputError, match=f"expected {what}, received {received}"):
        convert(given)
