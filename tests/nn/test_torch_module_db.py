"""The recurrent entries of PyTorch's own table of modules, run on our classes."""

import copy
from unittest import mock

import pytest
import torch

import recurra.nn
from nn.variants import gradients
from tolerances import assert_all_close

NAMES = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")


def entries():
    pytest.importorskip("expecttest")
    # Torch's helpers read the command line as that of torch's own tests.
    with mock.patch("sys.argv", ["test"]):
        from torch.testing._internal.common_modules import module_db
    found = {
        e.module_cls.__name__: e
        for e in module_db
        if e.module_cls.__module__.startswith("torch.nn.modules.rnn")
    }
    assert set(found) == set(NAMES)
    return found


def tensors(value):
    """All tensors in the arguments of a call."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors(v)] if isinstance(value, list | tuple) else []


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_entry(name, training):
    entry, ours = entries()[name], getattr(recurra.nn, name)
    assert issubclass(entry.module_cls, torch.nn.Module)
    count = 0
    for dtype in (torch.float32, torch.float64):
        samples = entry.module_inputs_func(
            entry, device="cpu", dtype=dtype, requires_grad=True, training=training
        )
        for sample in samples:
            made, call = sample.constructor_input, sample.forward_input
            theirs = entry.module_cls(*made.args, **made.kwargs, dtype=dtype).train(training)
            module = ours(*made.args, **made.kwargs, dtype=dtype).train(training)
            module.load_state_dict(theirs.state_dict())
            text = f"{name}{made.args} {made.kwargs}"
            results = []
            for one in (module, theirs):
                given = copy.deepcopy(call)
                found = tensors(one(*given.args, **given.kwargs))
                leaves = [*tensors(given.args), *tensors(given.kwargs), *one.parameters()]
                results.append([*found, *gradients(found, leaves)])
            assert_all_close(*results, text)
            if sample.reference_fn is not None:
                expected = sample.reference_fn(module, *call.args, **call.kwargs)
                found = module(*call.args, **call.kwargs)
                assert_all_close(tensors(found), tensors(expected), f"{text}: its reference")
            count += 1
    assert count >= 4
