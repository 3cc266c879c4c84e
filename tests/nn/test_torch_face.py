"""What a user of `torch.nn` sees: arguments, parameters, state dictionaries, copies, errors."""

import copy
import inspect
import os
import subprocess
import sys
import typing

import pytest
import torch
from torch import nn

from conftest import ROOT
from nn.variants import CELLS, LOOPS, NOISY, H, I, P, as_tuple, draw, on, paths, states_of
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, Recurrent
from tolerances import assert_all_close, assert_close

PAIRS = [(RNN, nn.RNN), (LSTM, nn.LSTM), (GRU, nn.GRU)]
LAYOUTS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False, "num_layers": 2, "batch_first": True},
]
B, T = 2, 4


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_arguments_have_torchs_order_and_defaults(ours, theirs):
    def positional(signature):
        return [
            (p.name, p.default)
            for p in signature.parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD
        ]

    written, _ = typing.get_overloads(theirs.__init__)
    assert positional(inspect.signature(ours.__init__)) == positional(inspect.signature(written))
    kinds = {p.kind for p in inspect.signature(ours.__init__).parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def pairs_with_layouts():
    for ours, theirs in PAIRS:
        for layout in LAYOUTS:
            yield ours, theirs, layout
            if ours is LSTM:
                yield ours, theirs, layout | {"proj_size": P}


def test_state_dictionaries_pass_both_ways():
    for ours, theirs, layout in pairs_with_layouts():
        mine, other = ours(I, H, **layout), theirs(I, H, **layout)
        assert list(mine.state_dict()) == list(other.state_dict()), f"{ours} {layout}"
        assert [n for n, _ in mine.named_parameters()] == [n for n, _ in other.named_parameters()]
        mine.load_state_dict(other.state_dict())
        for name, value in other.state_dict().items():
            assert torch.equal(mine.state_dict()[name], value), f"{ours} {layout} {name}"
        other.load_state_dict(ours(I, H, **layout).state_dict())
        weights = [[tuple(w.shape) for w in layer] for layer in mine.all_weights]
        assert weights == [[tuple(w.shape) for w in layer] for layer in other.all_weights]


def test_one_seed_gives_equal_parameters():
    for ours, theirs, layout in pairs_with_layouts():
        torch.manual_seed(1)
        mine = ours(I, H, **layout)
        torch.manual_seed(1)
        other = theirs(I, H, **layout)
        for name, value in other.named_parameters():
            assert torch.equal(mine.get_parameter(name), value), f"{ours} {layout} {name}"
        torch.manual_seed(1)
        mine.reset_parameters()
        assert torch.equal(mine.weight_hh_l0, other.weight_hh_l0)


def test_orthogonal_initialisation():
    module = LSTM(I, 8, 2, bidirectional=True, init="orthogonal", layer_norm=True)
    for name, parameter in module.named_parameters():
        if name.startswith("weight_hh"):
            for gate, block in zip("ifgo", parameter.detach().chunk(4), strict=True):
                assert_close(block @ block.T, torch.eye(8), f"{name} {gate}")
        elif name.startswith("weight_ih"):
            bound = (6 / (8 + parameter.shape[1])) ** 0.5
            assert 0.5 * bound < parameter.abs().max() <= bound, name
        elif name.startswith("bias_"):
            i, f, g, o = parameter.detach().chunk(4)
            assert (f == (1.0 if name.startswith("bias_ih") else 0.0)).all(), name
            assert not torch.cat([i, g, o]).any(), name
        elif name.startswith("norm_"):
            assert (parameter == (0.0 if "bias" in name else 1.0)).all(), name


def test_projected_lstm_is_quiet():
    """In a process of its own, since torch warns once a process."""
    script = (
        "import torch; from recurra.nn import LSTM;"
        "LSTM(3, 4, proj_size=2)(torch.zeros(2, 1, 3))[0].sum().backward()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_projected_lstm_leaves_onednn_as_it_was():
    module = LSTM(I, H, proj_size=P)
    for enabled in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.backends.mkldnn, "enabled", enabled)
            module(torch.zeros(T, B, I))
            assert torch.backends.mkldnn.enabled == enabled


def test_unbatched_states_lose_the_batch_axis():
    for variant in CELLS:
        for path, module in paths(variant):
            _, state = module(draw(T, I))
            sizes = [tuple(s.shape) for s in as_tuple(state)]
            assert sizes == [(1, n) for n in module.state_sizes], f"{variant} {path}"


def test_copies_and_casts():
    for variant in CELLS + LOOPS:
        for path, module in paths(variant):
            x, expected = draw(T, B, I), module(draw(T, B, I))[0]
            twin = copy.deepcopy(module)
            assert twin.cell is module.cell
            assert_close(twin(x)[0], expected, f"{variant} {path}: deepcopy")
            with torch.no_grad():
                twin.weight_hh_l0.add_(1)
            assert_close(module(x)[0], expected, f"{variant} {path}: the copy shares nothing")
            cast = copy.deepcopy(module).to(torch.float32)
            outputs, state = cast(x.float())
            assert {outputs.dtype, *(s.dtype for s in as_tuple(state))} == {torch.float32}
            assert_close(outputs, expected.float(), f"{variant} {path}: float32")
            module.flatten_parameters()


def test_saved_without_code(tmp_path):
    for k, variant in enumerate(CELLS + LOOPS):
        module, other = variant.make(), variant.make()
        torch.save(module.state_dict(), tmp_path / f"{k}.pt")
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        other.load_state_dict(torch.load(tmp_path / f"{k}.pt", weights_only=True))
        assert_close(other(draw(T, B, I))[0], module(draw(T, B, I))[0], str(variant))


def test_repr_makes_an_equal_layer():
    for variant in CELLS + LOOPS + NOISY:
        module = variant.make()
        made = eval(repr(module))
        assert repr(made) == repr(module)
        assert made.program == module.program, repr(module)
        shapes = {n: p.shape for n, p in module.named_parameters()}
        assert {n: p.shape for n, p in made.named_parameters()} == shapes, repr(module)
        for name in ("dropout", "recurrent_dropout", "zoneout", "weight_drop", "residual"):
            assert getattr(made, name) == getattr(module, name), repr(module)
    assert repr(LSTM(I, H)) == "LSTM(4, 3)"
    assert repr(Recurrent("gru", I, H)) == "Recurrent(gru, 4, 3)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(0, H), "input_size must be a positive integer, received 0"),
        (lambda: GRU(I, -1), "hidden_size must be a positive integer, received -1"),
        (lambda: GRU(I, 2.5), "hidden_size: expected a whole number, received float 2.5"),
        (lambda: RNN(I, H, 0), "num_layers must be a positive integer, received 0"),
        (lambda: RNN(I, H, 2, dropout=1.5), "dropout must be from 0 to 1, received 1.5"),
        (lambda: RNN(I, H, weight_drop=-1), "weight_drop must be from 0 to 1, received -1"),
        (lambda: LSTM(I, H, recurrent_dropout=2), "recurrent_dropout must be from 0 to 1"),
        (lambda: LSTM(I, H, zoneout=(0.1, 3)), "zoneout must be from 0 to 1, received 3"),
        (lambda: LSTM(I, H, zoneout=(0.1,)), r"zoneout must be a number or 2 numbers \(h, c\)"),
        (lambda: LSTM(I, H, proj_size=H), "proj_size must be below hidden_size, received 3"),
        (lambda: LSTM(I, H, proj_size=-1), "proj_size must be 0 or a positive integer"),
        (lambda: Recurrent("gru", I, H, proj_size=2), "the cell gru has no projection"),
        (lambda: Recurrent("gru", I, H, peephole=True), "cell gru has no option 'peephole'"),
        (lambda: Recurrent("gurp", I, H), "unknown cell 'gurp': expected one of .*gru, "),
        (lambda: GRU(I, H, reset="during"), "expected 'after' or 'before', received 'during'"),
        (lambda: RNN(I, H, nonlinearity="tan"), "unknown function 'tan'; choose from tanh, "),
        (lambda: LSTM(I, H, init="magic"), "init must be one of uniform, orthogonal"),
        (lambda: LSTM(0, 0, init="magic"), "input_size .*; hidden_size .*; init "),
    ],
)
def test_arguments_out_of_range(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_dropout_without_a_layer_to_act_on_warns_as_torchs_does():
    with pytest.warns(UserWarning, match="num_layers=1"):
        GRU(I, H, dropout=0.5)


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (GRU, (torch.zeros(2, 3, 5),), r"input with 4 features .* received 5: shape \(2, 3, 5\)"),
        (GRU, (torch.zeros(4),), r"shape \(T, B, I\) or \(T, I\), received \(4,\)"),
        (GRU, (torch.zeros(2, 3, 4), torch.zeros(1, 2, 3)), r"state h of shape \(1, 3, 3\)"),
        (GRU, (torch.zeros(2, 4), torch.zeros(1, 1, 3)), r"state h of shape \(1, 3\)"),
        (LSTM, (torch.zeros(2, 3, 4), torch.zeros(1, 3, 3)), r"2 initial state\(s\) \(h, c\)"),
        (
            LSTM,
            (torch.zeros(2, 3, 4), (torch.zeros(1, 3, 3), torch.zeros(1, 3, 4))),
            r"state c of shape \(1, 3, 3\), received \(1, 3, 4\)",
        ),
    ],
)
def test_inputs_that_do_not_fit(layer, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        layer(I, H)(*arguments)
    assert str(caught.value).startswith(f"{layer.__name__}: ")
    assert "\n" not in str(caught.value)


def test_the_kernel_runs_on_the_weights_themselves():
    """A change of a parameter in place is seen by the next call: nothing was copied or cached."""
    for variant in LOOPS:
        for path, module in paths(variant):
            before = module(draw(T, B, I))[0]
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.mul_(0.5)
            after = module(draw(T, B, I))[0]
            halved = variant.make()
            with torch.no_grad():
                for parameter in halved.parameters():
                    parameter.mul_(0.5)
            expected = on(path, halved)(draw(T, B, I))[0]
            assert_close(after, expected, f"{variant} {path}")
            assert not torch.allclose(before, after)


def test_learnt_initial_state_is_where_a_sequence_starts():
    for layer in (RNN, LSTM, GRU):
        module = layer(I, H, 2, learn_initial_state=True, bidirectional=True, dtype=torch.float64)
        names = [n for n, _ in module.named_parameters() if n.startswith("initial_")]
        assert names == [f"initial_{s}" for s in module.cell.states]
        assert not any(module.get_parameter(n).any() for n in names), "starts from zeros"
        states = states_of(module, 1)
        with torch.no_grad():
            for name, state in zip(names, states, strict=True):
                module.get_parameter(name).copy_(state[:, 0])
        for form in (draw(T, B, I), draw(T, I)):
            size = () if form.dim() == 2 else (B,)
            hx = tuple(s[:, 0] if not size else s.expand(-1, B, -1) for s in states)
            outputs, final = module(form)
            expected, ended = module(form, hx if len(hx) > 1 else hx[0])
            assert_close(outputs, expected, layer.__name__)
            assert_all_close(as_tuple(final), as_tuple(ended), layer.__name__)
