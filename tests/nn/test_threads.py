"""Layers and steppers that many threads use at once give what calls in turn give."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from recurra import native, nn
from recurra.cells import cell, definition, sigmoid, tanh

THREADS, TURNS = 4, 6


@cell(states="h", gates="f n")
def shared_by_threads(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    n = tanh(x.n + u(f * h).n)
    h = (1 - f) * h + f * n
    return dict(f=f, n=n, h=h)


LAYERS = {
    "lstm": lambda: nn.LSTM(12, 40, num_layers=2, batch_first=True),
    "gru both": lambda: nn.GRU(12, 40, bidirectional=True, batch_first=True),
    "rnn": lambda: nn.RNN(12, 40, batch_first=True),
    "normed": lambda: nn.Recurrent("lstm", 12, 40, layer_norm=True, batch_first=True),
    "own cell": lambda: nn.Recurrent(shared_by_threads, 12, 40, batch_first=True),
    "one cell": lambda: nn.LSTMCell(12, 40),
    "float64": lambda: nn.LSTM(12, 40, batch_first=True).double(),
}


def gradients(layer, x):
    """Outputs and gradients of one call; of parameters by themselves, as threads share `.grad`."""
    out = layer(x)
    tensors = [t for t in _flat(out) if t.requires_grad]
    loss = sum(t.square().sum() for t in tensors)
    return [*tensors, *torch.autograd.grad(loss, [x, *layer.parameters()], allow_unused=True)]


def _flat(value):
    return [value] if isinstance(value, torch.Tensor) else [t for v in value for t in _flat(v)]


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    torch.manual_seed(0)
    layer, twin = LAYERS[name](), LAYERS[name]()
    twin.load_state_dict(layer.state_dict())
    shape = (5, 12) if name == "one cell" else (5, 9, 12)
    dtype = next(layer.parameters()).dtype
    inputs = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(THREADS)]
    expected = [gradients(twin, x) for x in inputs]
    with torch.no_grad():
        plain = [_flat(twin(x)) for x in inputs]

    def work(number):  # the first calls of the layer are these
        for _ in range(TURNS):
            found = gradients(layer, inputs[number])
            with torch.no_grad():
                again = _flat(layer(inputs[number]))
            for one, other in zip(
                [*found, *again], [*expected[number], *plain[number]], strict=True
            ):
                if one is not None:
                    assert torch.equal(one, other)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


needs_kernels = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")


@needs_kernels
@pytest.mark.parametrize(("hidden", "threads"), [(16, 1), (300, 1), (300, 2)])
def test_a_stepper_serialises_or_says_in_a_line_that_it_is_in_use(hidden, threads):
    """However many threads step: each step is made whole, or refused."""
    program = definition.find("gru").program()
    random = np.random.default_rng(0)
    shapes = [(3 * hidden, 8), (3 * hidden, hidden), (3 * hidden,), (3 * hidden,)]
    weights = [(random.normal(size=s) / 20).astype(np.float32) for s in shapes]
    make = lambda: native.Stepper(program, weights, threads=threads)  # noqa: E731
    stepper, twin = make(), make()
    x, told = np.ones((1, 8), np.float32), []

    def work(_):
        made = 0
        for _ in range(100):
            try:
                stepper.step(x)
                made += 1
            except RuntimeError as error:
                told.append(str(error))
        return made

    with ThreadPoolExecutor(THREADS) as pool:
        made = sum(pool.map(work, range(THREADS)))
    assert made >= 100
    assert all("make a stepper for each thread" in line for line in told)
    for _ in range(made):  # all steps read the same: as many in turn end in the same state
        twin.step(x)
    for one, other in zip(stepper.states, twin.states, strict=True):
        assert np.array_equal(one, other)


@needs_kernels
def test_products_and_steps_with_packed_weights():
    program = definition.find("lstm").program()
    random = np.random.default_rng(1)
    H = 300
    shapes = [(4 * H, 8), (4 * H, H), (4 * H,), (4 * H,)]
    packed = native.Packed(
        program, [(random.normal(size=s) / 20).astype(np.float32) for s in shapes]
    )
    product = native.Product(random.normal(size=(500, H)).astype(np.float32))
    rows = random.normal(size=(20, 3, H)).astype(np.float32)
    state = [np.zeros((3, H), np.float32)] * 2
    x = random.normal(size=(20, 3, 8)).astype(np.float32)

    def one(k):
        return [product(rows[k]), *packed.step(x[k], state, [], 1)]

    expected = [one(k) for k in range(20)]
    with ThreadPoolExecutor(THREADS) as pool:
        for found, wanted in zip(pool.map(one, [*range(20)] * 5), expected * 5, strict=True):
            assert all(map(np.array_equal, found, wanted))
