"""A compiled layer works after whatever looked on at an earlier call; operations are counted."""

import contextlib

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, functionalize, grad, jvp, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from nn.variants import H, I, as_tuple, draw
from recurra import native, ops
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, state_gradients
from tolerances import assert_all_close

T, B, V = 6, 3, 7
DOUBLE = torch.float64  # oneDNN's LSTM, of float32, counts nothing

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
    pytest.mark.skipif(not native.available(), reason="the kernels are not compiled"),
]


class Seeing(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def within(context):
    def use(run, x):
        with context:
            run(x)

    return use


def faked(run, x):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        run(mode.from_tensor(x))


def flat(found):
    return [v for part in as_tuple(found) for v in as_tuple(part)]


def first(run):
    return lambda x: as_tuple(run(x))[0]


#: What looks on at one call.
MODES = {
    "flops": lambda run, x: within(FlopCounterMode(display=False))(run, x),
    "a mode": lambda run, x: within(Seeing())(run, x),
    "fake": faked,
    "grad": lambda run, x: grad(lambda v: first(run)(v).sum())(x),
    "vmap": lambda run, x: vmap(first(run), in_dims=-2)(torch.stack([x, x], -2)),
    "jvp": lambda run, x: jvp(first(run), (x,), (x,)),
    "functionalize": lambda run, x: functionalize(first(run))(x),
    "inference": lambda run, x: within(torch.inference_mode())(run, x),
    "autocast": lambda run, x: within(torch.autocast("cpu", torch.bfloat16))(run, x),
}


class Lossy(nn.Module):
    """All operators of the house in one."""

    def __init__(self):
        super().__init__()
        self.rnn = GRU(I, H)
        self.head = nn.Linear(H, V)

    def forward(self, x):
        y = self.rnn(x)[0].flatten(0, 1)
        targets = torch.zeros(len(y), dtype=torch.int64)
        return ops.token_losses(y, self.head.weight, self.head.bias, targets)


ROWS = {
    "GRU": lambda: (GRU(I, H), (T, B, I)),
    "LSTM stacked": lambda: (LSTM(I, H, 2, bidirectional=True, batch_first=True), (T, B, I)),
    "RNN with options": lambda: (RNN(I, H, zoneout=0.2, residual=True), (T, B, I)),
    "GRUCell": lambda: (GRUCell(I, H), (B, I)),
    "LSTMCell": lambda: (LSTMCell(I, H), (B, I)),
    "losses": lambda: (Lossy(), (T, B, I)),
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_compiled_after_a_call_that_was_looked_at(row, mode):
    torch._dynamo.reset()
    torch.manual_seed(0)
    module, shape = row()
    module = module.eval()
    compiled = torch.compile(module, backend="eager")
    x = draw(*shape, dtype=torch.float32)
    # What a mode and a compiler do together is theirs, and may be refused; what follows is ours.
    with contextlib.suppress(Exception):
        mode(compiled, x)
    for _ in range(2):
        found, expected = compiled(x), module(x)
        assert_all_close(flat(found), flat(expected), "after")
    grads = []
    for run in (compiled, module):
        module.zero_grad()
        as_tuple(run(x))[0].sum().backward()
        grads.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    assert_all_close(*grads, "gradients")
    torch._dynamo.reset()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("more", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_operations_are_counted_as_torchs(name, more):
    theirs, ours = (
        getattr(nn, name)(I, H, dtype=DOUBLE, **more),
        {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}[name],
    )
    ours = ours(I, H, dtype=DOUBLE, **more)
    x = torch.randn(T, B, I, dtype=DOUBLE)
    found = []
    for module in (ours, theirs):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(x)
        found.append(counter.get_total_flops())
    assert found[0] == found[1] > 0


def test_operations_of_backward_passes_and_losses():
    """By hand: 2 T B G (I + R) forward; as much by inputs, and by weights."""
    module, x = GRU(I, H), torch.randn(T, B, I)
    forward = 2 * T * B * 3 * H * (I + H)
    for needs in (False, True):
        with FlopCounterMode(display=False) as counter:
            module(x.clone().requires_grad_(needs))[0].sum().backward()
        by_states, by_inputs = 2 * T * B * 3 * H * H, 2 * T * B * 3 * H * I * needs
        assert counter.get_total_flops() == 2 * forward + by_states + by_inputs
    weight = torch.randn(V, H, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        ops.token_losses(torch.randn(5, H), weight, None, torch.zeros(5).long()).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * 5 * V * H


def test_watched_and_functional_calls_afterwards():
    module, x = GRU(I, H), torch.randn(T, B, I)
    expected = module(x)[0]
    with FlopCounterMode(display=False):
        module(x)
    given = dict(module.named_parameters())
    assert_all_close([functional_call(module, given, x)[0]], [expected], "functional")
    with state_gradients(module) as calls:
        module(x)[0].sum().backward()
    assert calls[0][0][0]["h"].shape == (T, B, H)
