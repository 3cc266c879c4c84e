"""`state_gradients`: dL/dh_t of every step, layer and direction."""

import copy

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from nn.variants import CELLS, LOOPS, NOISY, H, I, Variant, as_tuple, draw, on, paths
from recurra import native
from recurra.cells import cell, tanh
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, Recurrent, state_gradients
from recurra.reference import Interpreter
from tolerances import assert_all_close, assert_close

B, T = 3, 5
MASK = torch.tensor([[0, 1, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool).T
TORCHS = {RNN: torch.nn.RNNCell, GRU: torch.nn.GRUCell, LSTM: torch.nn.LSTMCell}


def loss_of(outputs, state):
    """Of the last outputs most, of all a little, and of the final states."""
    flat = [outputs, *as_tuple(state)]
    return sum((r * draw(*r.shape, seed=7 + k).to(r)).sum() for k, r in enumerate(flat))


def by_torchs_cells(module, x, mask):
    """Gradients by states from a loop over torch's own cells: by layer, direction and name."""
    held, final = [], []
    for layer in range(module.num_layers):
        outputs, held_here = [], []
        for end in ("", "_reverse")[: module.num_directions]:
            step = TORCHS[type(module)](x.shape[-1], H, dtype=x.dtype)
            for name, value in step.named_parameters():
                value.data.copy_(module.get_parameter(f"{name}_l{layer}{end}"))
            states = [x.new_zeros(B, H) for _ in module.cell.states]
            by_step, ys = [None] * len(x), [None] * len(x)
            for t in reversed(range(len(x))) if end else range(len(x)):
                new = as_tuple(step(x[t], tuple(states) if len(states) > 1 else states[0]))
                here = mask[t][:, None]
                by_step[t] = new
                ys[t] = torch.where(here, new[0], 0.0)
                states = [torch.where(here, n, s) for n, s in zip(new, states, strict=True)]
            outputs.append(torch.stack(ys))
            held_here.append(by_step)
            final.append(states)
        held.append(held_here)
        x = torch.cat(outputs, -1)
    ended = tuple(torch.stack(s) for s in zip(*final, strict=True))
    loss = loss_of(x, ended if len(ended) > 1 else ended[0])

    def gradients(by_step, k):
        leaves = [states[k] for states in by_step]
        found = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
        return torch.stack([leaves[0] * 0 if g is None else g for g in found])

    names = module.cell.states
    return [[{n: gradients(d, k) for k, n in enumerate(names)} for d in layer] for layer in held]


def watched(module, x, **more):
    """Gradients by states of one call."""
    torch.manual_seed(3)
    with state_gradients(module) as calls:
        outputs, state = module(x, **more)
    loss_of(outputs, state).backward()
    (found,) = calls
    return found


def assert_equal_gradients(found, expected, what):
    assert [len(layer) for layer in found] == [len(layer) for layer in expected]
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        for d, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            assert_all_close(mine, theirs, f"{what}: layer {k} direction {d}")


@pytest.mark.parametrize("mask", [torch.ones(T, B, dtype=torch.bool), MASK], ids=["all", "mask"])
@pytest.mark.parametrize("more", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("layer", [RNN, GRU, LSTM])
def test_equal_to_torchs_cells(layer, more, mask):
    for path, module in paths(Variant(layer, more)):
        x = draw(T, B, I).requires_grad_()
        expected = by_torchs_cells(module, x, mask)
        given = {} if mask.all() else {"mask": mask}
        assert_equal_gradients(watched(module, x, **given), expected, path)


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
@pytest.mark.parametrize("variant", CELLS + LOOPS + NOISY, ids=str)
def test_kernels_equal_the_reference(variant, mask):
    """Projections, norms, peepholes, and zoneout, where part of a state passes by the cell."""
    found = {path: watched(module, draw(T, B, I), mask=mask) for path, module in paths(variant)}
    for path, gradients in found.items():
        assert_equal_gradients(gradients, found["reference"], path)
        for value in gradients[0][0].values():
            assert mask is None or not value[~mask].any()


@pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")
@pytest.mark.parametrize("variant", CELLS[:1] + LOOPS + NOISY, ids=str)
def test_the_kernels_do_it_alone(variant, monkeypatch):
    module = on("native", variant.make())
    loops = []

    def loop(interpreter, hoisted, steps, *arguments, **more):
        loops.append(steps)
        return run(interpreter, hoisted, steps, *arguments, **more)

    run = Interpreter.loop
    monkeypatch.setattr(Interpreter, "loop", loop)
    assert watched(module, draw(T, B, I))[0][0]["h"].any()
    # Within a step an LSTM's c makes its h: all steps at once.
    assert set(loops) <= ({1} if variant.layer is LSTM else set())


def test_gradients_by_all_else_are_the_same():
    for variant in LOOPS:
        for path, module in paths(variant):
            plain = copy.deepcopy(module)
            x = draw(T, B, I)
            watched(module, x, mask=MASK)
            loss_of(*plain(x, mask=MASK)).backward()
            for (name, one), other in zip(
                module.named_parameters(), plain.parameters(), strict=True
            ):
                assert_close(one.grad, other.grad, f"{variant} {path} {name}")


def test_layouts():
    module = LSTM(I, H, dtype=torch.float64)
    first = LSTM(I, H, batch_first=True, dtype=torch.float64)
    first.load_state_dict(module.state_dict())
    x, weights = draw(T, B, I), draw(T, B, H)
    found = {}
    for name, layer, given, factors in (
        ("plain", module, x, weights),
        ("batch first", first, x.transpose(0, 1), weights.transpose(0, 1)),
        ("alone", module, x[:, 1], weights[:, 1]),
    ):
        with state_gradients(layer) as calls:
            (layer(given)[0] * factors).sum().backward()
        found[name] = calls[0][0][0]
    for name, value in found["plain"].items():
        assert_close(found["batch first"][name], value.transpose(0, 1), name)
        assert_close(found["alone"][name], value[:, 1], name)


def test_packed_sequences_are_padded_with_zeros():
    module, lengths = GRU(I, H, dtype=torch.float64), torch.tensor([2, 5, 3])
    x = draw(T, B, I)
    with state_gradients(module) as calls:
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        module(packed)[0].data.sum().backward()
        module(x, lengths=lengths)[0].sum().backward()
    one, other = (call[0][0]["h"] for call in calls)
    assert_close(one, other, "packed")
    assert not one[2:, 0].any()
    assert one[:2, 0].all()


def test_calls_in_their_order_and_none_after():
    module = GRU(I, H, dtype=torch.float64)
    x = draw(T, B, I)
    with state_gradients(module) as calls:
        _, state = module(x[:3])
        later, _ = module(x[3:], state)
    module(x)
    assert calls == [[[{}]], [[{}]]]
    later[-1].sum().backward()
    with state_gradients(module) as whole:
        module(x)[0][-1].sum().backward()
    joined = torch.cat([call[0][0]["h"] for call in calls])
    assert_close(joined, whole[0][0][0]["h"], "carried from call to call")
    assert module.watched_by == []
    assert len(calls) == 2


@pytest.mark.parametrize("path", ["native", "reference"])
def test_every_backward_pass_writes_anew(path):
    if path == "native" and not native.available():
        pytest.skip("the kernels are not compiled")
    module = on(path, LSTM(I, H, dtype=torch.float64))
    with state_gradients(module) as calls:
        outputs, _ = module(draw(T, B, I))
    outputs[-1].sum().backward(retain_graph=True)
    assert calls[0][0][0]["h"][-1].all()
    outputs[1].sum().backward()
    assert not calls[0][0][0]["h"][2:].any()
    assert (calls[0][0][0]["h"][1] == 1).all()


def test_with_gates_and_second_gradients():
    for path, module in paths(Variant(LSTM)):
        x = draw(T, B, I).requires_grad_()
        with state_gradients(module) as calls:
            outputs, _, gates = module(x, return_gates=True)
            loss = outputs[-1].square().sum() + gates[0][0]["f"][2].sum()
            (first,) = torch.autograd.grad(loss, x, create_graph=True)
        assert calls[0][0][0]["h"][1].all()
        assert not calls[0][0][0]["h"].requires_grad
        first.square().sum().backward()
        assert x.grad.any(), path


@cell(states="h v", gates="a")
def lagging(x, u, h, v, opt):
    """One value as two states."""
    new = tanh(x.a + u(v).a)
    return dict(h=new, v=new)


def test_a_cell_of_ones_own():
    module = Recurrent(lagging, I, H, dtype=torch.float64)
    with state_gradients(module) as calls:
        module(draw(T, B, I))[0].sum().backward()
    found = calls[0][0][0]
    assert torch.equal(found["h"], found["v"])
    assert (found["h"][-1] == 1).all()
    assert (found["h"][:-1] != 1).all()


def test_not_where_nothing_can_be_written():
    module = GRU(I, H, dtype=torch.float64)
    with state_gradients(module) as calls, pytest.raises(InputError, match="plain eager mode"):
        torch.vmap(lambda v: module(v)[0])(draw(2, T, B, I))
    assert calls == [[[{}]]]
    with state_gradients(module) as calls, torch.no_grad():
        module(draw(T, B, I))
        module(draw(0, B, I))
    assert calls == [[[{}]], [[{}]]]
