"""`recurra.nn` against `torch.nn`: outputs, final states and every gradient, on every path."""

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from nn.variants import PATHS, H, I, P, as_hx, as_tuple, draw, gradients, on, states_of
from recurra.nn import GRU, LSTM, RNN
from tolerances import assert_all_close, assert_close

#: torch.nn says so once a process; what ours does about it is tested in test_torch_face.py.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")

B, T = 3, 5
KINDS = {
    "RNN tanh": (RNN, nn.RNN, {}),
    "RNN relu": (RNN, nn.RNN, {"nonlinearity": "relu"}),
    "LSTM": (LSTM, nn.LSTM, {}),
    "LSTM projected": (LSTM, nn.LSTM, {"proj_size": P}),
    "GRU": (GRU, nn.GRU, {}),
}
FORMS = {
    "plain": None,
    "packed sorted": (5, 3, 1),
    "packed unsorted": (2, 5, 4),
    "packed equal": (5, 5, 5),
    "lengths": (2, 5, 3),
    "unbatched": None,
}


def layouts() -> Iterator[dict[str, Any]]:
    for bias, bidirectional, batch_first, layers in itertools.product(
        (True, False), (True, False), (True, False), (1, 2)
    ):
        yield {
            "bias": bias,
            "bidirectional": bidirectional,
            "batch_first": batch_first,
            "num_layers": layers,
        }


def sequences_alone(module: nn.Module, x: Tensor, states: tuple, lengths: tuple) -> tuple:
    """torch.nn on each sequence by itself, padded with zeros: what lengths mean."""
    module_first = module.batch_first
    rows, ended = [], []
    for b, length in enumerate(lengths):
        row = (x[b] if module_first else x[:, b])[:length]
        outputs, final = module(row, as_hx(tuple(s[:, b] for s in states)))
        padding = outputs.new_zeros(T - length, outputs.shape[-1])
        rows.append(torch.cat([outputs, padding]))
        ended.append(as_tuple(final))
    final = tuple(torch.stack(s, dim=1) for s in zip(*ended, strict=True))
    return torch.stack(rows, dim=0 if module_first else 1), as_hx(final)


def run(module: nn.Module, form: str, *, oracle: bool) -> tuple[list[Tensor], list[Tensor], Any]:
    """Results, gradients (input, states, parameters) and outputs as they came."""
    dtype, first = module.weight_ih_l0.dtype, module.batch_first
    x = draw(*((B, T, I) if first else (T, B, I)), dtype=dtype)
    rows = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [P if module.proj_size else H] + [H] * (type(module).__name__ == "LSTM")
    states = tuple(draw(rows, B, n, seed=9 + k, dtype=dtype) for k, n in enumerate(sizes))
    if form == "unbatched":
        x, states = x[0], tuple(s[:, 0] for s in states)
    leaves = [x.requires_grad_(), *(s.requires_grad_() for s in states)]
    lengths, hx = FORMS[form], as_hx(states)
    if form.startswith("packed"):
        packed = pack_padded_sequence(
            x, torch.tensor(lengths), batch_first=first, enforce_sorted=form == "packed sorted"
        )
        outputs, final = module(packed, hx)
    elif form == "lengths" and oracle:
        outputs, final = sequences_alone(module, x, states, lengths)
    elif form == "lengths":
        outputs, final = module(x, hx, lengths=torch.tensor(lengths))
    else:
        outputs, final = module(x, hx)
    data = outputs.data if isinstance(outputs, PackedSequence) else outputs
    results = [data, *as_tuple(final)]
    return results, gradients(results, leaves + list(module.parameters())), outputs


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_states_and_gradients(kind, dtype, path):
    ours_class, theirs_class, more = KINDS[kind]
    for layout in layouts():
        torch.manual_seed(3)
        theirs = theirs_class(I, H, dtype=dtype, **layout, **more)
        ours = ours_class(I, H, dtype=dtype, **layout, **more)
        ours.load_state_dict(theirs.state_dict())
        on(path, ours)
        for form in FORMS:
            case = f"{kind} {layout} {form}"
            expected, expected_gradients, their_outputs = run(theirs, form, oracle=True)
            results, our_gradients, our_outputs = run(ours, form, oracle=False)
            assert_all_close(results, expected, f"{case}: outputs and states")
            assert_all_close(our_gradients, expected_gradients, f"{case}: gradients")
            assert type(our_outputs) is type(their_outputs), case
            if isinstance(their_outputs, PackedSequence):
                for field in ("batch_sizes", "sorted_indices", "unsorted_indices"):
                    one, other = getattr(our_outputs, field), getattr(their_outputs, field)
                    same = one is other is None or torch.equal(one, other)
                    assert same, f"{case}: {field} {one} != {other}"


@pytest.mark.parametrize("kind", KINDS)
def test_no_initial_state_is_zeros(kind):
    ours_class, theirs_class, more = KINDS[kind]
    for form in ("plain", "unbatched"):
        torch.manual_seed(3)
        theirs = theirs_class(I, H, 2, dtype=torch.float64, **more)
        ours = ours_class(I, H, 2, dtype=torch.float64, **more)
        ours.load_state_dict(theirs.state_dict())
        x = draw(T, B, I) if form == "plain" else draw(T, I)
        for path in PATHS:
            outputs, final = on(path, copy.deepcopy(ours))(x)
            expected, expected_final = theirs(x)
            assert_close(outputs, expected, f"{kind} {form}")
            assert_all_close(as_tuple(final), as_tuple(expected_final), f"{kind} {form}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_dropout_between_layers_is_torchs_under_one_seed(kind, packed):
    ours_class, theirs_class, more = KINDS[kind]
    theirs = theirs_class(I, H, 3, dropout=0.5, bidirectional=True, **more)
    ours = ours_class(I, H, 3, dropout=0.5, bidirectional=True, **more)
    ours.load_state_dict(theirs.state_dict())
    x = draw(T, B, I, dtype=torch.float32)
    if packed:
        x = pack_padded_sequence(x, torch.tensor([4, 5, 2]), enforce_sorted=False)
    for training in (True, False):
        theirs.train(training)
        torch.manual_seed(11)
        expected, _ = theirs(x)
        # All but torch's run on padded data, so packed they draw other masks of the same kind.
        for path in ["torch"] if packed else PATHS:
            module = on(path, copy.deepcopy(ours)).train(training)
            torch.manual_seed(11)
            outputs, _ = module(x)
            one = outputs.data if packed else outputs
            other = expected.data if packed else expected
            assert_close(one, other, f"{kind} training={training}")
    different, _ = ours.train()(draw(T, B, I, dtype=torch.float32))
    again, _ = ours(draw(T, B, I, dtype=torch.float32))
    assert not torch.equal(different, again), "dropout draws anew at each call"


def test_states_of_agrees_with_the_layers():
    module = LSTM(I, H, 2, bidirectional=True, proj_size=P)
    assert [tuple(s.shape) for s in states_of(module, B)] == [(4, B, P), (4, B, H)]
