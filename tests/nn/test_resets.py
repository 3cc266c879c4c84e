"""Rows that begin anew in mid-sequence: as the pieces alone, and as the reference says."""

import numpy as np
import pytest
import torch

from native.own import made, minimal_gated
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, Recurrent, detach

T, B, I, H = 9, 4, 3, 5
MINIMAL = made(minimal_gated, "norm", "f n")

#: Layers and their arguments; all in float64.
LAYERS = {
    "rnn": lambda **more: RNN(I, H, **more),
    "gru": lambda **more: GRU(I, H, **more),
    "gru, reset before": lambda **more: GRU(I, H, reset="before", **more),
    "lstm": lambda **more: LSTM(I, H, **more),
    "lstm, layer norm": lambda **more: LSTM(I, H, layer_norm=True, **more),
    "lstm, peepholes, projection": lambda **more: LSTM(I, H, peephole=True, proj_size=3, **more),
    "lstm, zoneout": lambda **more: LSTM(I, H, zoneout=(0.2, 0.4), **more).eval(),
    "lstm, whole vectors": lambda **more: LSTM(I, 16, **more),
    "own": lambda **more: Recurrent(MINIMAL, I, H, **more),
    "without kernels": lambda **more: _interpreted(GRU(I, H, **more)),
}
SHAPES = {
    "one layer": {},
    "layers": {"num_layers": 2},
    "reverse": {"reverse": True},
    "both directions, residual": {"num_layers": 3, "bidirectional": True, "residual": True},
    "both directions, summed": {"bidirectional": True, "merge": "sum"},
    "batch first": {"batch_first": True, "bidirectional": True},
    "learnt": {"learn_initial_state": True, "bidirectional": True, "num_layers": 2},
}


def _interpreted(layer):
    layer._kernel = None
    return layer


def drawn(make, **more):
    torch.manual_seed(3)
    layer = make(dtype=torch.float64, **more)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.7, 0.7)
    x = torch.randn(T, B, I, dtype=torch.float64)
    reset = torch.rand(T, B) < 0.3
    reset[0], reset[:, 1] = torch.tensor([True, False, True, False]), False
    return layer, x.requires_grad_(), reset


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def loss_of(outputs, states):
    weights = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    return (outputs * weights).sum() + sum((k + 1) * s.sin().sum() for k, s in enumerate(states))


def alone(layer, x, reset):
    """The pieces between resets, each by itself: outputs (T, B, ·), final states (L * D, B, ·)."""
    rows, ends = [], []
    for b in range(x.shape[1]):
        first = sorted({0, *reset[:, b].nonzero().flatten().tolist()})
        pieces = []
        for start, end in zip(first, [*first[1:], len(x)], strict=True):
            piece = x[start:end, b : b + 1]
            if layer.batch_first:
                outputs, states = layer(piece.transpose(0, 1))
                pieces.append((outputs.transpose(0, 1), as_tuple(states)))
            else:
                outputs, states = layer(piece)
                pieces.append((outputs, as_tuple(states)))
        rows.append(torch.cat([outputs for outputs, _ in pieces]))
        wide = layer.num_directions
        backwards = [layer.reverse or k % wide == 1 for k in range(layer.num_layers * wide)]
        ends.append([
            torch.stack([pieces[0 if back else -1][1][s][k] for k, back in enumerate(backwards)])
            for s in range(len(pieces[0][1]))
        ])  # fmt: skip
    return torch.cat(rows, 1), [torch.cat(parts, 1) for parts in zip(*ends, strict=True)]


def whole(layer, x, reset, *state, **more):
    if layer.batch_first:
        outputs, states = layer(x.transpose(0, 1), *state, reset=reset.T, **more)
        return outputs.transpose(0, 1), as_tuple(states)
    outputs, states = layer(x, *state, reset=reset, **more)
    return outputs, as_tuple(states)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_equals_each_piece_alone(make, shape):
    layer, x, reset = drawn(make, **shape)
    found, expected = whole(layer, x, reset), alone(layer, x, reset)
    assert torch.equal(found[0], expected[0]) or layer._kernel is None
    torch.testing.assert_close(found, (expected[0], tuple(expected[1])), rtol=1e-12, atol=1e-12)
    wanted = [x, *layer.parameters()]
    gradients = [torch.autograd.grad(loss_of(*run), wanted) for run in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_finite_differences(make):
    layer, x, reset = drawn(make, learn_initial_state=True, bidirectional=True)
    states = [torch.rand(2, B, n, dtype=torch.float64).requires_grad_() for n in layer.state_sizes]
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *values):
        given, weights = values[: len(states)], dict(zip(names, values[len(states) :], strict=True))
        hx = tuple(given) if len(given) > 1 else given[0]
        outputs, last = torch.func.functional_call(layer, weights, (x, hx), {"reset": reset})
        return loss_of(outputs, as_tuple(last))

    # Slow: every number of every parameter twice.
    parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(run, (x, *states, *parameters), fast_mode=True)


def test_a_given_state_is_replaced_by_the_start():
    layer, x, reset = drawn(learnt_lstm)
    states = [torch.randn(1, B, H, dtype=torch.float64).requires_grad_() for _ in "hc"]
    outputs, _ = layer(x, tuple(states), reset=reset)
    dh, dc = torch.autograd.grad(outputs.sum(), states)
    assert not dh[0, [0, 2]].any()
    assert not dc[0, [0, 2]].any()
    assert dh[0, [1, 3]].all()
    fresh, _ = layer(x, reset=reset)
    assert torch.equal(fresh[:, [0, 2]], outputs[:, [0, 2]])
    assert not torch.equal(fresh[:, [1, 3]], outputs[:, [1, 3]])


def learnt_lstm(**more):
    return LSTM(I, H, learn_initial_state=True, **more)


@pytest.mark.parametrize("make", [LAYERS["lstm"], LAYERS["without kernels"]])
def test_lengths_masks_and_packed_sequences(make):
    """What lies beyond a length is no part of a sequence; a masked step's reset counts."""
    layer, x, reset = drawn(make, bidirectional=True)
    lengths = torch.tensor([9, 0, 5, 7])
    reset[5, 2] = reset[8, 3] = True
    outputs, states = whole(layer, x, reset, lengths=lengths)
    for b, n in enumerate(lengths.tolist()):
        if n:
            expected = alone(layer, x[:n, b : b + 1], reset[:n, b : b + 1])
            torch.testing.assert_close(outputs[:n, b : b + 1], expected[0])
            for one, other in zip(states, expected[1], strict=True):
                torch.testing.assert_close(one[:, b : b + 1], other)
    rows = [0, 2, 3]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x[:, rows], lengths[rows], enforce_sorted=False
    )
    found, _ = layer(packed, reset=reset[:, rows])
    found, _ = torch.nn.utils.rnn.pad_packed_sequence(found)
    torch.testing.assert_close(found, outputs[:, rows])
    mask = torch.ones(T, B, dtype=torch.bool)
    mask[3:5] = False
    again = torch.zeros(T, B, dtype=torch.bool)
    again[3] = True
    outputs, states = whole(layer, x, again, mask=mask)
    parts = [layer(x[:3]), layer(x[5:])]
    torch.testing.assert_close(outputs[mask], torch.cat([p[0] for p in parts]).flatten(0, 1))
    last = [p[1] if isinstance(p[1], tuple) else (p[1],) for p in parts]
    for k, state in enumerate(states):
        torch.testing.assert_close(state, torch.stack([last[1][k][0], last[0][k][1]]))


def test_noise_and_gates_go_with_the_steps():
    """In training, with one draw of the noise; and what is recorded is of the steps."""
    layer, x, reset = drawn(LAYERS["lstm"], recurrent_dropout=0.4, zoneout=0.3, num_layers=2)
    results = []
    for kernels in (True, False):
        if not kernels:
            layer._kernel = None
        torch.manual_seed(8)
        outputs, states, gates = layer(x, reset=reset, return_gates=True)
        gradients = torch.autograd.grad(loss_of(outputs, states), [x, *layer.parameters()])
        results.append((outputs, states, gates, gradients))
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("make", [LAYERS["gru"], LAYERS["own"], LAYERS["without kernels"]])
def test_state_gradients(make):
    from recurra.nn import state_gradients

    layer, x, _ = drawn(make)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[4] = True
    with state_gradients(layer) as calls:
        outputs, _ = layer(x, reset=reset)
        outputs[6:].sum().backward()
    seen = calls[0][0][0]["h"]
    assert not seen[:4].any()
    assert seen[4:].all()


def test_unbatched_and_from_chunk_to_chunk():
    layer, x, reset = drawn(LAYERS["lstm"])
    expected, states = layer(x, reset=reset)
    one, _ = layer(x[:, 0], reset=reset[:, 0])
    torch.testing.assert_close(one, expected[:, 0])
    outputs, state = [], None
    for cut in (slice(0, 4), slice(4, 5), slice(5, T)):
        part, state = layer(x[cut], state, reset=reset[cut])
        state = detach(state)
        outputs.append(part)
    torch.testing.assert_close(torch.cat(outputs), expected)
    torch.testing.assert_close(state, states)


@pytest.mark.parametrize("make", [LSTMCell, GRUCell])
def test_cells(make):
    cell = make(I, H, dtype=torch.float64)
    x, state = torch.randn(T, B, I, dtype=torch.float64), None
    reset = torch.rand(T, B) < 0.4
    layer = (LSTM if make is LSTMCell else GRU)(I, H, dtype=torch.float64)
    layer.load_state_dict({f"{n}_l0": p for n, p in cell.state_dict().items()})
    expected, _ = layer(x, reset=reset)
    for t in range(T):
        state = cell(x[t], state, reset=reset[t])
        torch.testing.assert_close(as_tuple(state)[0], expected[t])
    one = tuple(s[0] for s in as_tuple(state))
    alone = cell(x[0, 0], one if len(one) > 1 else one[0], reset=torch.tensor(True))
    torch.testing.assert_close(alone, cell(x[0, 0]))


@pytest.mark.parametrize("make", [LAYERS["gru"], LAYERS["without kernels"]])
def test_compiled_and_traced(make):
    layer, x, reset = drawn(make, bidirectional=True, learn_initial_state=True)
    expected = whole(layer, x, reset)
    gradient = torch.autograd.grad(loss_of(*expected), [x, *layer.parameters()])
    compiled = torch.compile(lambda x, reset: layer(x, reset=reset), backend="aot_eager")
    outputs, states = compiled(x, reset)
    torch.testing.assert_close(outputs, expected[0])
    found = torch.autograd.grad(loss_of(outputs, as_tuple(states)), [x, *layer.parameters()])
    torch.testing.assert_close(found, gradient)


def test_resets_may_be_written_over_before_the_backward_pass():
    layer, x, reset = drawn(LAYERS["lstm"])
    expected = torch.autograd.grad(layer(x, reset=reset)[0].sum(), x)[0]
    outputs, _ = layer(x, reset=reset)
    reset.logical_not_()
    assert torch.equal(torch.autograd.grad(outputs.sum(), x)[0], expected)


@pytest.mark.parametrize(
    ("reset", "message"),
    [
        (torch.zeros(T, B), r"resets of shape \(9, 4\), received float32 \(9, 4\): use .bool\(\)"),
        (torch.zeros(B, T, dtype=torch.bool), r"of shape \(9, 4\), received bool \(4, 9\)$"),
        (torch.zeros(T, B, 1, dtype=torch.bool), r"of shape \(9, 4\), received bool \(9, 4, 1\)"),
        (np.zeros((T, B), bool), r"LSTM: reset: expected a tensor, received .*use torch.as_tensor"),
        (True, "LSTM: reset: expected a tensor, received bool True"),
    ],
)
def test_what_is_no_reset(reset, message):
    layer, x, _ = drawn(LAYERS["lstm"])
    with pytest.raises(InputError, match=message):
        layer(x, reset=reset)
