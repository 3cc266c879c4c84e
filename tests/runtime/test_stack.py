"""The layers without torch against the layers with it: every cell, direction, depth, length."""

import numpy as np
import pytest
import torch

from recurra.cells import BUILT_IN
from recurra.errors import FormatError, InputError
from recurra.nn import Recurrent
from recurra.runtime import RuntimeStack, Weights
from recurra.tasks.network import NetworkConfig

T, B, I, H = 7, 5, 3, 6
LENGTHS = np.array([7, 3, 0, 1, 5])


class Config(NetworkConfig):
    bidirectional = False


class BothWays(NetworkConfig):
    bidirectional = True


def made(config: NetworkConfig, prefix: str = "rnn."):
    module = Recurrent(config.cell, I, H, **config.arguments()).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.9, 0.9, generator=generator)
    tensors = {prefix + name: v.numpy().copy() for name, v in module.state_dict().items()}
    stack = RuntimeStack(config.architecture(), Weights(tensors), features=I, prefix=prefix)
    return module, stack, tensors


ROWS = [
    (table, {"cell": cell, "layers": layers, "hidden": H, **more})
    for table in (Config, BothWays)
    for cell in BUILT_IN
    for layers in (1, 3)
    for more in ({}, {"learn_initial_state": True, "residual": True}, {"layer_norm": True})
    if "layer_norm" not in more or "norm" in BUILT_IN[cell].options
] + [
    (BothWays, {"cell": "lstm", "layers": 2, "hidden": H, "projection": 4, "peephole": True}),
    (BothWays, {"cell": "gru", "layers": 2, "hidden": H, "reset": "before", "zoneout": 0.3}),
]


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize(("table", "settings"), ROWS, ids=str)
def test_it_is_the_torch_layers(table, settings, lengths):
    module, stack, _ = made(table(**settings).validate(), "encoder.")
    x = np.random.default_rng(0).normal(size=(T, B, I)).astype(np.float32)
    with torch.no_grad():
        ragged = None if lengths is None else torch.from_numpy(lengths)
        wanted, ended = module(torch.from_numpy(x), lengths=ragged)
    outputs, states = stack.run(x, lengths=lengths)
    assert outputs.shape == (T, B, stack.output_size)
    np.testing.assert_allclose(outputs, wanted.numpy(), atol=2e-6)
    ended = ended if isinstance(ended, tuple) else (ended,)
    for k, layer in enumerate(states):
        for ours, theirs in zip(layer, ended, strict=True):
            np.testing.assert_allclose(ours, theirs[k].numpy(), atol=2e-6)


@pytest.mark.parametrize("cell", BUILT_IN)
def test_chunks_of_any_size_are_the_whole(cell):
    _, stack, _ = made(Config(cell=cell, layers=2, hidden=H))
    x = np.random.default_rng(0).normal(size=(T, B, I)).astype(np.float32)
    whole, end = stack.run(x)
    parts, states = [], None
    for a, b in ((0, 1), (1, 5), (5, 5), (5, 7)):
        y, states = stack.run(x[a:b], states=states)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    for ours, theirs in zip(states, end, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_sequence_does_not_depend_on_the_others():
    _, stack, _ = made(BothWays(cell="lstm", layers=2, hidden=H))
    x = np.random.default_rng(0).normal(size=(T, B, I)).astype(np.float32)
    outputs, _ = stack.run(x, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone, _ = stack.run(x[:length, row : row + 1])
        np.testing.assert_allclose(outputs[:length, row], alone[:, 0], atol=1e-6)
        assert not outputs[length:, row].any()


def test_what_does_not_fit_is_told():
    _, stack, tensors = made(BothWays(cell="gru", layers=2, hidden=H))
    with pytest.raises(InputError, match=r"expected input \(T, B, 3\), received \(2, 2, 4\)"):
        stack.run(np.zeros((2, 2, 4), np.float32))
    del tensors["rnn.weight_hh_l1_reverse"]
    config = BothWays(cell="gru", layers=2, hidden=H)
    with pytest.raises(FormatError, match="weight_hh_l1_reverse"):
        RuntimeStack(config.architecture(), Weights(tensors), features=I)
