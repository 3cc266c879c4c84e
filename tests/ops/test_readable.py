"""Tensors whose memory is not their values, in every argument of every operator: the value is that
of a plain copy, or one line says what to do. No address is taken before."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import vmap

from nn.variants import H, I, draw
from recurra import native, ops
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from recurra.ops.readable import are_plain
from recurra.train import TrainConfig
from recurra.train.optim import Updater
from tolerances import assert_all_close

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

T, B, V = 4, 3, 7


class Named(torch.Tensor):
    """A class of another library that adds nothing."""


def negative(t):
    found = torch.complex(torch.zeros_like(t), -t).conj().imag if t.is_floating_point() else t
    assert not t.is_floating_point() or found.is_neg()
    return found


def overlapping(t):
    """Each row begins within the one before."""
    flat = torch.cat([t.flatten(), t.flatten()])
    stride = [1] * t.dim()
    return flat.as_strided(t.shape, stride)


def leaked(t):
    held = []
    vmap(lambda v: held.append(v) or v)(t[None])
    return held[0]


def freed(t):
    t = t.clone()
    t.untyped_storage().resize_(0)
    return t


#: What computes the same as its plain copy.
ODD = {
    "negative": negative,
    "negative with gaps": lambda t: negative(torch.stack([t, t], -1))[..., 0],
    "zeros without memory": lambda t: torch._efficientzerotensor(t.shape, dtype=t.dtype),
    "expanded": lambda t: t[:1].expand_as(t),
    "one number": lambda t: t.flatten()[:1].reshape([1] * t.dim()).expand_as(t),
    "overlapping": overlapping,
    "transposed": lambda t: t.mT.contiguous().mT if t.dim() > 1 else t,
    "with gaps": lambda t: torch.stack([t, t], -1)[..., 1],
    "offset": lambda t: torch.cat([t[:1], t])[1:],
    "a class of methods": lambda t: t.as_subclass(Named),
}
#: What has no values here, and what the line says.
REFUSED = {
    "meta": (lambda t: t.to("meta"), "meta"),
    "sparse": (lambda t: t.to_sparse(), "to_dense|sparse"),
    "compressed": (lambda t: t.reshape(len(t), -1).to_sparse_csr(), "to_dense|sparse|expected"),
    "oneDNN": (lambda t: t.to_mkldnn(), "to_dense|expected"),
    "nested": (lambda t: torch.nested.nested_tensor(list(t)), "nested"),
    "quantized": (
        lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
        "quantized|expected .* dtype",
    ),
    "of a transformation": (leaked, "torch.func"),
    "freed": (freed, "freed"),
}


@dataclass
class Problem:
    """An operator with its arguments by name, and results with gradients of those that float."""

    arguments: dict[str, torch.Tensor]
    run: Any

    def results(self, plain=None, **changed):
        """`changed` replaces arguments."""
        given = {k: v.clone() for k, v in self.arguments.items()} | changed
        found = self.run(**{k: v for k, v in given.items() if k[0] != "d"})
        leaves = [v for k, v in given.items() if v.requires_grad]
        incoming = [given["dy"], *(torch.ones_like(f) for f in found[1:])]
        return [*found, *torch.autograd.grad(found, leaves, incoming, allow_unused=True)]


def _layer(program_of, mask=False, factors=False):
    module = program_of(I, H, dtype=torch.float64)
    program, kernel = module.program, module._kernel
    names = [p.name for p in program.parameters]
    arguments = {"x": draw(T, B, I)}
    arguments |= {n: getattr(module, f"{n}_l0").detach() for n in names}
    arguments |= {f"{s}0": draw(B, H, seed=k) for k, s in enumerate(program.states)}
    if mask:
        arguments["valid"] = draw(T, B, seed=5) > -0.5
    if factors:
        arguments["recurrent_mask"] = draw(B, H, seed=6)
        arguments["keep"] = draw(T, B, H, seed=8).sigmoid()
    arguments["dy"] = draw(T, B, H, seed=9)

    def run(**given):
        keep = given.get("keep")
        return ops.run(
            ops.Call(
                kernel,
                given["x"],
                [given[n] for n in names],
                [given[f"{s}0"] for s in program.states],
                given.get("valid"),
                given.get("recurrent_mask"),
                [] if keep is None else [keep],
                [] if keep is None else [0.0],
                tokens=given.get("tokens"),
            )
        )

    return Problem(arguments, run)


def _lookup():
    base = _layer(GRU)
    arguments = dict(base.arguments) | {
        "x": draw(2, I),
        "tokens": (draw(T, B) > 0).long(),
    }
    return Problem(arguments, base.run)


def _loss():
    arguments = {
        "x": draw(5, H),
        "weight": draw(V, H, seed=1),
        "bias": draw(V, seed=2),
        "targets": torch.arange(5),
        "counted": torch.tensor([True, False, True, True, True]),
        "dy": draw(5, seed=3),
    }
    return Problem(arguments, lambda **given: [ops.token_losses(**given)])


def _embedding():
    arguments = {"tokens": torch.arange(5), "weight": draw(V, H), "dy": draw(5, H)}
    return Problem(arguments, lambda **given: list(ops.embedding(**given)))


PROBLEMS = {
    "rnn": lambda: _layer(RNN),
    "gru masked": lambda: _layer(GRU, mask=True),
    "lstm": lambda: _layer(LSTM),
    "gru with noise": lambda: _layer(GRU, factors=True),
    "lookup": _lookup,
    "token_losses": _loss,
    "embedding": _embedding,
}
CASES = [(name, argument) for name, make in PROBLEMS.items() for argument in make().arguments]
EACH = pytest.mark.parametrize(("name", "argument"), CASES)
#: torch's own of nested tensors and the like.
QUIET = pytest.mark.filterwarnings("ignore::UserWarning")


def needs_gradients(problem, skip):
    """All else that floats requires gradients."""
    fixed = (skip, "recurrent_mask", "keep", "dy")
    for name, value in problem.arguments.items():
        if value.is_floating_point() and name not in fixed:
            problem.arguments[name] = value.requires_grad_()
    return {
        k: v.detach().clone().requires_grad_(v.requires_grad) for k, v in problem.arguments.items()
    }


@EACH
@QUIET
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_as_a_plain_copy(name, argument, odd):
    problem = PROBLEMS[name]()
    value = odd(problem.arguments[argument])
    if value.dtype == torch.long and value._is_zerotensor():
        assert not are_plain(value)
    plain = torch.zeros_like(value) if value._is_zerotensor() else value.clone()
    plain = plain.as_subclass(torch.Tensor).contiguous()
    assert are_plain(plain)
    differentiable = value.is_floating_point() and argument not in ("recurrent_mask", "keep", "dy")
    for gradients in (False, True):
        for by in (False, True) if differentiable and gradients else (False,):
            if gradients and name == "embedding" and argument == "weight" and not by:
                continue  # nothing to differentiate by
            given = needs_gradients(problem, argument) if gradients else dict(problem.arguments)
            both = []
            for one in (value, plain):
                one = one.detach().requires_grad_(by)
                if gradients:
                    both.append(problem.results(**(given | {argument: one})))
                elif argument != "dy":
                    inputs = {k: v for k, v in (given | {argument: one}).items() if k != "dy"}
                    with torch.no_grad():
                        both.append(problem.run(**inputs))
            if both:
                found, expected = ([v for v in r if v is not None] for r in both)
                assert len(found) == len(expected)
                found = [v.as_subclass(torch.Tensor) for v in found]
                assert_all_close(found, expected, f"{name} {argument}")


@EACH
@QUIET
@pytest.mark.parametrize("odd", REFUSED)
def test_refused_in_one_line(name, argument, odd):
    problem = PROBLEMS[name]()
    make, _ = REFUSED[odd]
    before = problem.arguments[argument]
    if argument == "dy" or name == "embedding":
        return  # torch's engine and operators look at them first
    if odd in ("oneDNN", "quantized", "compressed") and not before.is_floating_point():
        return
    try:
        value = make(before)
    except RuntimeError:
        return  # there is no such tensor
    inputs = {k: v for k, v in (problem.arguments | {argument: value}).items() if k != "dy"}
    with torch.no_grad(), pytest.raises(InputError) as caught:
        problem.run(**inputs)
    assert "\n" not in str(caught.value)
    assert re.search(REFUSED[odd][1], str(caught.value)), caught.value


def test_no_crash_where_what_was_to_be_refused_is_an_incoming_gradient():
    problem = _loss()
    given = needs_gradients(problem, "")
    loss = problem.run(**{k: v for k, v in given.items() if k != "dy"})[0]
    for make in (lambda t: t.to("meta"), freed):
        with pytest.raises((InputError, RuntimeError)):
            torch.autograd.grad(loss, given["x"], make(given["dy"]), retain_graph=True)


@pytest.mark.parametrize("make", [RNN, GRU, LSTM])
def test_layers(make):
    """The whole way of a module, inputs, states and weights."""
    x = torch.fft.fft(draw(3, 6, dtype=torch.float32)).conj().imag.unsqueeze(-1)
    assert x.is_neg()
    for more in ({}, {"bidirectional": True, "num_layers": 2}):
        module = make(1, 8, batch_first=True, **more)
        assert_all_close(flat(module(x)), flat(module(x.clone())), "input")
        states = [
            negative(draw(s.shape[0], 3, 8, dtype=torch.float32)) for s in flat(module(x))[1:]
        ]
        hx = states[0] if len(states) == 1 else tuple(states)
        plain = states[0].clone() if len(states) == 1 else tuple(s.clone() for s in states)
        assert_all_close(flat(module(x, hx)), flat(module(x, plain)), "states")
        expected = flat(module(x))
        for name, parameter in list(module.named_parameters()):
            setattr(module, name, torch.nn.Parameter(negative(parameter.detach())))
        assert module.weight_ih_l0.is_neg()
        assert_all_close(flat(module(x)), expected, "weights")


@pytest.mark.parametrize("make", [RNNCell, GRUCell, LSTMCell])
def test_cells(make):
    module, x = make(I, H), draw(B, I, dtype=torch.float32)
    assert_all_close(flat(module(negative(x))), flat(module(x)), "input")


def flat(found):
    if isinstance(found, tuple):
        return [v for part in found for v in flat(part)]
    return [found]


def test_keras_layers():
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend")
    import recurra.keras as ours

    x = negative(draw(B, T, I, dtype=torch.float32))
    for make in (ours.SimpleRNN, ours.GRU, ours.LSTM):
        layer = make(H, return_sequences=True)
        assert_all_close([layer(x)], [layer(x.clone())], make.__name__)


@pytest.mark.parametrize("odd", ["negative", "expanded", "zeros without memory"])
def test_updates(odd):
    """Of the optimizer: gradients and parameters."""
    found = []
    for plain in (False, True):
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 4)
        updater = Updater(module, TrainConfig())
        for _ in range(2):
            gradient = ODD[odd](draw(4, 3, dtype=torch.float32))
            plain_one = torch.zeros(4, 3) if gradient._is_zerotensor() else gradient.clone()
            module.weight.grad = plain_one.contiguous() if plain else gradient
            module.bias.grad = torch.ones(4)
            updater.step(torch.tensor(1.0), 0.01)
        found.append([p.detach().clone() for p in module.parameters()])
    assert_all_close(*found, odd)


def test_fake_tensors_among_others():
    module = GRU(I, H)
    with FakeTensorMode():
        fake = torch.zeros(1, B, H)
    with pytest.raises(Exception, match=r"(?i)fake|memory"):
        module(torch.zeros(T, B, I), fake)
