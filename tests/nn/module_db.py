"""Run the recurrent entries of PyTorch's own table of modules on our classes: a process of its own,
since torch's test helpers read the command line and freeze settings of the process.

Prints, by name, how many samples agreed.
"""

import copy
import json
import sys
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import recurra.nn
from nn.variants import gradients
from tolerances import assert_all_close


def tensors(value):
    """All tensors in the arguments of a call."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors(v)] if isinstance(value, list | tuple) else []


def check(entry, ours, training):
    """Compare outputs, states and gradients of all samples; return how many there were."""
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
            text, results = f"{ours.__name__}{made.args} {made.kwargs}", []
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
    return count


def main():
    """All recurrent entries, in evaluation and in training."""
    from torch.testing._internal.common_modules import module_db

    warnings.filterwarnings("ignore", "LSTM with projections is not supported")
    rnn = [e for e in module_db if e.module_cls.__module__ == "torch.nn.modules.rnn"]
    ours = {e: getattr(recurra.nn, e.module_cls.__name__) for e in rnn}
    counts = {o.__name__: sum(check(e, o, t) for t in (False, True)) for e, o in ours.items()}
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
