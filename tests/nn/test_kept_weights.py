"""Ordered weights are kept between short calls, and never outlive the weights themselves."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn as theirs
from torch.func import functional_call
from torch.nn.utils import (
    parameters_to_vector,
    parametrizations,
    parametrize,
    prune,
    vector_to_parameters,
)

from recurra import native, nn
from recurra.nn import Recurrent
from recurra.train import TrainConfig
from recurra.train.optim import Updater

pytestmark = pytest.mark.skipif(not native.available(), reason="not run: no kernels here")

I, H, B = 24, 96, 2  # matrices of more elements than are compared whole

MAKE = {
    "rnn": lambda: nn.RNN(I, H),
    "lstm": lambda: nn.LSTM(I, H, proj_size=48, batch_first=True),
    "gru": lambda: nn.GRU(I, H, num_layers=2, bidirectional=True),
    "rnn cell": lambda: nn.RNNCell(I, H),
    "lstm cell": lambda: nn.LSTMCell(I, H),
    "gru cell": lambda: nn.GRUCell(I, H, bias=False),
}


def inputs(module):
    torch.manual_seed(0)
    return torch.randn(B, I) if not isinstance(module, Recurrent) else torch.randn(B, B, I)


def outputs(module, x):
    if isinstance(module, Recurrent):
        found = module(x)
    else:
        h = torch.ones(len(x), H)
        found = module(x, h if len(module.cell.states) == 1 else (h, h))
    found = found if isinstance(found, tuple) else (found,)
    return [t for part in found for t in (part if isinstance(part, tuple) else (part,))]


def kept(module):
    return sum(k.nbytes for k in module._kept)


def warm(module):
    x = inputs(module)
    with torch.no_grad():
        for _ in range(3):
            outputs(module, x)
    assert kept(module) > 0
    return x


def assert_as_new(module, x, name):
    """What the module computes is what a new one with its weights computes, to the bit."""
    new = copy.deepcopy(module)
    assert kept(new) == 0, "a copy starts without"
    with torch.no_grad():
        for round in range(3):
            for one, other in zip(outputs(module, x), outputs(new, x), strict=True):
                assert torch.equal(one, other), f"{name}, call {round}"


@pytest.fixture(params=MAKE)
def module(request):
    torch.manual_seed(1)
    return MAKE[request.param]()


def weight(module, kind="weight_hh"):
    return next(p for n, p in module.named_parameters() if n.startswith(kind))


def with_gradients(module):
    for p in module.parameters():
        p.grad = torch.ones_like(p)
    return list(module.parameters())


def by_our_optimizer(module):
    with_gradients(module)
    Updater(module, TrainConfig(optimizer="adam")).step(torch.tensor(1.0), 0.1)


def by_vector(module):
    vector_to_parameters(parameters_to_vector(module.parameters()) * 1.5, module.parameters())


def by_another_thread(module):
    def change():
        with torch.no_grad():
            weight(module).mul_(0.5)

    thread = threading.Thread(target=change)
    thread.start()
    thread.join()


def assigned(module):
    name = next(n for n, _ in module.named_parameters() if n.startswith("weight_hh"))
    setattr(module, name, theirs.Parameter(weight(module).detach() * 2))


@torch.no_grad()
def in_place(module):
    weight(module).mul_(0.5)


@torch.no_grad()
def one_element(module):
    weight(module)[3, 5] += 1


def changed_data(change, kind="weight_hh"):
    def apply(module):
        change(weight(module, kind).data)

    return apply


CHANGES = {
    "in place": in_place,
    "one element, in place": one_element,
    "detached, in place": lambda m: weight(m).detach().zero_(),
    "a parameter assigned": assigned,
    "data assigned": lambda m: setattr(weight(m), "data", weight(m).data * 2),
    "data, in place": changed_data(lambda d: d.mul_(0.5)),
    "data, a row": changed_data(lambda d: d[7].zero_()),
    "data, a column": changed_data(lambda d: d[:, 7].zero_()),
    "data, a row of the input's": changed_data(lambda d: d[-1].add_(1), "weight_ih"),
    "data, a column of the input's": changed_data(lambda d: d[:, -1].add_(1), "weight_ih"),
    "data, one element, and told so": changed_data(lambda d: d[1, 2].add_(1)),
    "numpy": lambda m: weight(m).detach().numpy().fill(0.25),
    "load_state_dict": lambda m: m.load_state_dict({n: v * 2 for n, v in m.state_dict().items()}),
    "load_state_dict, assigned": lambda m: m.load_state_dict(
        {n: v * 2 for n, v in m.state_dict().items()}, assign=True
    ),
    "reset_parameters": lambda m: m.reset_parameters(),
    "SGD": lambda m: torch.optim.SGD(with_gradients(m), 0.1).step(),
    "SGD, foreach": lambda m: torch.optim.SGD(with_gradients(m), 0.1, foreach=True).step(),
    "Adam, fused": lambda m: torch.optim.Adam(with_gradients(m), 0.1, fused=True).step(),
    "our optimizer": by_our_optimizer,
    "vector_to_parameters": by_vector,
    "another thread": by_another_thread,
    "to float64 and back": lambda m: m.double().float(),
    "pruned": lambda m: prune.l1_unstructured(m, _name(m), 0.5),
}


def _name(module):
    return next(n for n, _ in module.named_parameters() if n.startswith("weight_hh"))


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_noticed(module, change):
    x = warm(module)
    with torch.no_grad():
        before = outputs(module, x)
    CHANGES[change](module)
    if "told so" in change:
        if isinstance(module, Recurrent):
            module.flatten_parameters()
        else:
            module._kept[0].forget()
    with torch.no_grad():
        after = outputs(module, x)
    if change != "to float64 and back":
        assert not all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert_as_new(module, x, change)


def test_biases_are_compared_whole():
    module = nn.LSTM(I, H)
    x = warm(module)
    module.bias_ih_l0.data[H + 5] += 1
    assert_as_new(module, x, "one element of a bias")


def test_parametrizations_are_computed_anew():
    for make in (
        lambda m: parametrizations.weight_norm(m, _name(m)),
        lambda m: parametrizations.spectral_norm(m, _name(m)),
        lambda m: parametrize.register_parametrization(m, _name(m), Doubled()),
    ):
        module = nn.GRU(I, H)
        x = warm(module)
        make(module)
        module.eval()
        before = outputs(module, x)[0]
        with torch.no_grad():
            for p in module.parameters():
                p.mul_(0.9)
        assert not torch.equal(outputs(module, x)[0], before)
        assert_as_new(module, x, "parametrized")
        with parametrize.cached():
            assert_as_new(module, x, "parametrized, cached")


class Doubled(theirs.Module):
    def forward(self, w):
        return 2 * w


def test_functional_call_reads_what_it_is_given():
    module = nn.GRU(I, H)
    x = warm(module)
    own = outputs(module, x)[0]
    for factor in (0.5, 2.0, 0.5):
        given = {n: p.detach() * factor for n, p in module.named_parameters()}
        other = nn.GRU(I, H)
        other.load_state_dict(given)
        for _ in range(3):
            with torch.no_grad():
                assert torch.equal(functional_call(module, given, (x,))[0], outputs(other, x)[0])
        given = {n: theirs.Parameter(p) for n, p in given.items()}
        for _ in range(3):
            with torch.no_grad():
                assert torch.equal(functional_call(module, given, (x,))[0], outputs(other, x)[0])
    assert torch.equal(outputs(module, x)[0], own)


def _halve(module):
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(0.5)


def test_memory_that_processes_share_is_read_each_time():
    module = nn.LSTM(I, H).share_memory()
    x = inputs(module)
    with torch.no_grad():
        for _ in range(4):
            outputs(module, x)
    assert kept(module) == 0
    process = torch.multiprocessing.get_context("fork").Process(target=_halve, args=(module,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert_as_new(module, x, "written by another process")
    module = nn.LSTM(I, H)
    warm(module)
    module.share_memory()
    _halve(module)
    with torch.no_grad():
        outputs(module, x)
    assert kept(module) == 0


def test_a_file_that_is_mapped_is_read_each_time(tmp_path):
    (tmp_path / "weights").write_bytes(bytes(4 * H * I * 4))
    module = nn.LSTM(I, H)
    shared = torch.from_file(str(tmp_path / "weights"), shared=True, size=4 * H * I)
    module.weight_ih_l0 = theirs.Parameter(shared.view(4 * H, I))
    x = inputs(module)
    with torch.no_grad():
        for _ in range(3):
            outputs(module, x)
    assert kept(module) == 0


def test_weights_of_inference_mode_have_no_versions():
    with torch.inference_mode():
        module = nn.LSTM(I, H)
        x = inputs(module)
        for _ in range(3):
            outputs(module, x)
        weight(module).mul_(0.5)
        assert kept(module) == 0
        new = nn.LSTM(I, H)
        new.load_state_dict(module.state_dict())
        assert torch.equal(outputs(module, x)[0], outputs(new, x)[0])


def test_another_instruction_set_has_another_order():
    module = nn.GRU(I, H)
    x = warm(module)
    best = native.isa()
    try:
        for isa in native.isas():
            native.use_isa(isa)
            assert_as_new(module, x, isa)
    finally:
        native.use_isa(best)


def test_nothing_is_kept_while_training():
    module = nn.LSTM(I, H)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(5):
        outputs(module, inputs(module))[0].sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        assert kept(module) == 0
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(200, B, I))
    assert kept(module) == 0, "long calls order the weights for themselves"


def test_gradients_are_those_of_calls_without(module):
    other = copy.deepcopy(module)
    x = warm(module)
    for m in (module, other):
        if m is other:
            m._kept = [_Never() for _ in m._kept]
        for _ in range(2):
            m.zero_grad()
            given = x.clone().requires_grad_()
            sum((y * y).sum() for y in outputs(m, given)).backward()
            m.given = given.grad
    assert torch.equal(module.given, other.given)
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)


class _Never:
    nbytes = 0
    held = None

    def ordered(self, kernel, parameters):
        return None


def test_copies_keep_their_own():
    module = nn.LSTM(I, H)
    x = warm(module)
    for made in (copy.deepcopy(module), copy.copy(module), pickle.loads(pickle.dumps(module))):
        assert kept(made) == 0
        assert_as_new(made, x, "a copy")
    size = kept(module)
    assert size == sum(p.nbytes for p in module.parameters())
    module.flatten_parameters()
    assert kept(module) == 0
    twin = copy.deepcopy(module)
    warm(twin)
    with torch.no_grad():
        weight(twin).mul_(2)
    assert_as_new(module, x, "the other one")


def test_many_threads_call_one_layer():
    module = nn.LSTM(I, H)
    x = inputs(module)
    with torch.no_grad():
        expected = module(x)[0]
    wrong = []

    def work():
        with torch.no_grad():
            wrong.extend(k for k in range(50) if not torch.equal(module(x)[0], expected))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
