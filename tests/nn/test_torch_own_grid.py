"""The grid PyTorch tests its own recurrent layers with, our layers in their place: bias,
directions, layout, contiguous or not, variable lengths, lengths as a tensor or as a list."""

import itertools

import pytest
import torch
from torch import nn as theirs
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from nn.variants import PATHS, H, I, P, as_hx, as_tuple, draw, gradients, on, states_of
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from tolerances import assert_all_close, assert_close

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported"),
]

DTYPES = (torch.float32, torch.float64)
B, T, LENGTHS = 4, 6, (6, 4, 4, 1)
KINDS = {
    "RNN tanh": (RNN, theirs.RNN, {}),
    "RNN relu": (RNN, theirs.RNN, {"nonlinearity": "relu"}),
    "LSTM": (LSTM, theirs.LSTM, {}),
    "LSTM projected": (LSTM, theirs.LSTM, {"proj_size": P}),
    "GRU": (GRU, theirs.GRU, {}),
}
CELLS = {
    "RNNCell tanh": (RNNCell, theirs.RNNCell, {}),
    "RNNCell relu": (RNNCell, theirs.RNNCell, {"nonlinearity": "relu"}),
    "LSTMCell": (LSTMCell, theirs.LSTMCell, {}),
    "GRUCell": (GRUCell, theirs.GRUCell, {}),
}
ON = (True, False)


def drawn(*shape, contiguous, seed=0, dtype=torch.float64):
    """Numbers, where not contiguous as every other one of a turned array."""
    values = draw(*shape, seed=seed, dtype=dtype)
    if contiguous:
        return values.requires_grad_()
    wide = torch.stack([values, torch.full_like(values, torch.nan)], dim=-1)
    turned = wide.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    return turned


def leaf(values, contiguous):
    """What is differentiated, and what is handed over."""
    return values, values if contiguous else values[..., 0]


def results(module, row):
    """Outputs, final states and all gradients; and whether what was handed over was as asked."""
    contiguous, variable, as_tensor = row
    first, dtype = module.batch_first, module.weight_ih_l0.dtype
    shape = (B, T, I) if first else (T, B, I)
    x_leaf, x = leaf(drawn(*shape, contiguous=contiguous, dtype=dtype), contiguous)
    sizes = [tuple(s.shape) for s in states_of_like(module)]
    starts = [
        leaf(drawn(*size, contiguous=contiguous, seed=9 + k, dtype=dtype), contiguous)
        for k, size in enumerate(sizes)
    ]
    assert x.is_contiguous() == contiguous
    hx = as_hx(tuple(state for _, state in starts))
    if variable:
        lengths = torch.tensor(LENGTHS) if as_tensor else list(LENGTHS)
        outputs, final = module(pack_padded_sequence(x, lengths, batch_first=first), hx)
        assert isinstance(outputs, PackedSequence)
        outputs, _ = pad_packed_sequence(outputs, batch_first=first)
    else:
        outputs, final = module(x, hx)
    found = [outputs, *as_tuple(final)]
    leaves = [x_leaf, *(s for s, _ in starts), *module.parameters()]
    return found, [g.nan_to_num() for g in gradients(found, leaves)]


def states_of_like(module):
    """Initial states, of torch's layers too."""
    if hasattr(module, "state_sizes"):
        return states_of(module, B)
    rows = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or H] + [H] * isinstance(module, theirs.LSTM)
    return [torch.zeros(rows, B, size) for size in sizes]


#: The reference is the same lines of Python for both.
ON_PATHS = [(p, d) for p in PATHS for d in DTYPES if p != "reference" or d == torch.float64]


@pytest.mark.parametrize(("path", "dtype"), ON_PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_grid(kind, path, dtype):
    ours, torchs, more = KINDS[kind]
    for bias, both, first in itertools.product(ON, ON, ON):
        layout = {"bias": bias, "bidirectional": both, "batch_first": first, **more}
        torch.manual_seed(3)
        oracle = torchs(I, H, 2, dtype=dtype, **layout)
        module = on(path, ours(I, H, 2, dtype=dtype, **layout))
        module.load_state_dict(oracle.state_dict())
        for row in itertools.product(ON, ON, ON):
            if not row[1] and not row[2]:
                continue  # without lengths they are neither tensor nor list
            text = f"{kind} {layout} contiguous, variable, as tensor: {row}"
            found, found_gradients = results(module, row)
            expected, expected_gradients = results(oracle, row)
            assert_all_close(found, expected, text)
            assert_all_close(found_gradients, expected_gradients, f"{text}: gradients")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("kind", CELLS)
def test_the_grid_of_single_steps(kind, dtype):
    ours, torchs, more = CELLS[kind]
    for bias, contiguous, batched, given in itertools.product(ON, ON, ON, ON):
        torch.manual_seed(3)
        oracle = torchs(I, H, bias=bias, dtype=dtype, **more)
        module = ours(I, H, bias=bias, dtype=dtype, **more)
        assert list(module.state_dict()) == list(oracle.state_dict())
        module.load_state_dict(oracle.state_dict())
        both = []
        for one in (module, oracle):
            shape = (2, B, 1) if batched else (2, 1, 1)  # an axis in front, to turn
            x_leaf, x = leaf(drawn(*shape[:2], I, contiguous=contiguous, dtype=dtype), contiguous)
            starts = [
                leaf(drawn(*shape[:2], H, contiguous=contiguous, seed=k, dtype=dtype), contiguous)
                for k in range(2 if torchs is theirs.LSTMCell else 1)
            ]
            pick = (lambda v: v[0]) if batched else (lambda v: v[0, 0])
            hx = as_hx(tuple(pick(s) for _, s in starts)) if given else None
            found = list(as_tuple(one(pick(x), hx)))
            leaves = [x_leaf, *(s for s, _ in starts), *one.parameters()]
            both.append([*found, *(g.nan_to_num() for g in gradients(found, leaves))])
        text = f"{kind} bias {bias} contiguous {contiguous} batched {batched} state {given}"
        assert_all_close(*both, text)


def test_lengths_as_a_tensor_or_a_list():
    for layer in (RNN, LSTM, GRU):
        module = layer(I, H, bidirectional=True, dtype=torch.float64)
        expected = module(draw(T, B, I), lengths=torch.tensor(LENGTHS))[0]
        for lengths in (list(LENGTHS), LENGTHS, torch.tensor(LENGTHS, dtype=torch.int32)):
            assert_close(module(draw(T, B, I), lengths=lengths)[0], expected, layer.__name__)
