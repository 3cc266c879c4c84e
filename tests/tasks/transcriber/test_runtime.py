"""The transcriber without torch against the one with it, and sound in pieces against the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import FormatError, InputError
from recurra.nn import Recurrent
from recurra.tasks.transcriber import TranscriberConfig
from recurra.tasks.transcriber.features import LogMel, Scale
from recurra.tasks.transcriber.network import RecurrentCTC
from recurra.tasks.transcriber.resample import resample
from recurra.tasks.transcriber.runtime import RuntimeTranscriber

FEATURES = LogMel(rate=8000, mels=5, stack=2, stride=2)
V = 7
ROWS = [
    {"cell": cell, "layers": layers, "bidirectional": both, **more}
    for cell in ("rnn", "gru", "lstm")
    for layers, both in ((1, False), (3, False), (2, True))
    for more in ({}, {"residual": True, "layer_norm": True}, {"zoneout": 0.2})
] + [{"cell": "lstm", "projection": 3, "peephole": True}, {"cell": "gru", "reset": "before"}]


def both(row, scale=None):
    config = TranscriberConfig(hidden=6, **row).validate()
    rnn = Recurrent(config.cell, FEATURES.size, config.hidden, **config.arguments())
    module = RecurrentCTC(rnn, V, dropout=0.5).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.9, 0.9, generator=generator)
    tensors = {name: v.numpy().copy() for name, v in module.state_dict().items()}
    scale = scale or Scale(np.full(5, -8, np.float32), np.full(5, 3, np.float32))
    runtime = RuntimeTranscriber(config.architecture(), tensors, features=FEATURES, scale=scale)
    return module, runtime, (config, tensors)


def sound(seed, size):
    return (0.2 * np.random.default_rng(seed).normal(size=size)).astype(np.float32)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_it_is_the_torch_module(row):
    module, runtime, _ = both(row)
    random = np.random.default_rng(0)
    vectors = [random.normal(size=(n, FEATURES.size)).astype(np.float32) for n in (4, 0, 9, 1)]
    found = runtime.log_probabilities(vectors)
    padded = torch.zeros(9, 4, FEATURES.size)
    for row_, v in enumerate(vectors):
        padded[: len(v), row_] = torch.from_numpy(v)
    with torch.no_grad():
        wanted = module(padded, torch.tensor([4, 0, 9, 1])).log_softmax(-1).numpy()
    for row_, v in enumerate(vectors):
        assert found[row_].shape == (len(v), V + 1)
        np.testing.assert_allclose(found[row_], wanted[: len(v), row_], atol=5e-6)


def test_a_recording_does_not_depend_on_the_others():
    _, runtime, _ = both({"bidirectional": True})
    random = np.random.default_rng(0)
    vectors = [random.normal(size=(n, FEATURES.size)).astype(np.float32) for n in range(45)]
    together = runtime.log_probabilities(vectors)
    for n in (1, 20, 44):
        assert together[n].tobytes() == runtime.log_probabilities([vectors[n]])[0].tobytes()
    assert runtime.log_probabilities([]) == []


STREAMED = [both({"cell": cell, "bidirectional": False})[1] for cell in ("lstm", "gru")]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(STREAMED),
    st.sampled_from([8000, 16000, 11025]),
    st.lists(st.integers(0, 900), max_size=8),
)
def test_pieces_are_heard_as_the_whole(runtime, rate, sizes):
    samples = sound(len(sizes), sum(sizes))
    stream, start, found = runtime.stream(rate=rate), 0, []
    for size in sizes:
        found.append(stream.push(samples[start : start + size]))
        start += size
    found = np.concatenate([*found, stream.finish()])
    vectors = FEATURES.vectors(resample(samples, rate, 8000), runtime.scale)
    (whole,) = runtime.log_probabilities([vectors])
    assert found.shape == whole.shape
    np.testing.assert_allclose(found, whole, atol=2e-6)
    assert found.argmax(1).tolist() == whole.argmax(1).tolist()


def test_what_cannot_stream_says_why():
    with pytest.raises(InputError, match="train one with bidirectional=False"):
        both({"bidirectional": True})[1].stream()
    with pytest.raises(InputError, match='train one with normalise="corpus"'):
        both({"bidirectional": False}, Scale())[1].stream()


def test_weights_that_do_not_fit():
    _, _, (config, tensors) = both({})

    def make(**changed):
        scale = Scale()
        RuntimeTranscriber(
            config.architecture(), {**tensors, **changed}, features=FEATURES, scale=scale
        )

    with pytest.raises(FormatError, match="12 outputs, the head reads 5"):
        make(**{"head.weight": np.zeros((8, 5), np.float32)})
    with pytest.raises(FormatError, match=r"head\.bias: expected shape \(8,\)"):
        make(**{"head.bias": np.zeros(3, np.float32)})
    del tensors["head.weight"]
    with pytest.raises(FormatError, match=r"expected a tensor 'head\.weight'"):
        make()
