"""The translator without torch against the module: every step, every option; then searching."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from recurra.errors import FormatError
from recurra.tasks.translator.runtime import RuntimeTranslator, TranslatorArchitecture
from recurra.tasks.translator.search import search
from runtime.translators import TARGET, made, sources
from tolerances import assert_close

V, END = len(TARGET), 1
ROWS = [
    {},
    {"layers": 2},
    {"layers": 2, "decoder_layers": 3, "residual": True},
    {"cell": "gru", "reset": "before", "attention": "additive", "layers": 2},
    {"cell": "rnn", "attention": "dot", "bidirectional": False, "layers": 2},
    {"cell": "lstm", "projection": 4, "peephole": True, "layers": 2},
    {"layer_norm": True, "learn_initial_state": True, "zoneout": 0.2},
    {"tied": True, "shared": True},
    {"copy": True, "layers": 2},
    {"copy": True, "attention": "additive"},
]


def log_probabilities(module, source, lengths, inputs, copied):
    """ln P (B, T, V + 3) of the module, after each of the inputs (B, T)."""
    read = torch.from_numpy(np.where(inputs < V, inputs, 0))
    with torch.no_grad():
        steps = module(torch.from_numpy(source), torch.from_numpy(lengths), read)
        logits = functional.linear(steps.features, module.head.weight, module.head.bias)
        mixed = functional.pad(logits.softmax(-1).double(), (0, 3))
        if steps.copy is not None:
            share = torch.sigmoid(steps.copy.double())[..., None]
            index = torch.from_numpy(copied).expand(len(mixed), -1, -1)
            copies = torch.zeros_like(mixed).scatter_add(2, index, steps.weights.double())
            mixed = (1 - share) * mixed + share * copies
        return mixed.log().transpose(0, 1).numpy(), steps.weights.transpose(0, 1).numpy()


def copies(source):
    return np.random.default_rng(9).integers(0, V + 3, source.shape)


@pytest.mark.parametrize("settings", ROWS, ids=str)
def test_it_is_the_torch_module(settings):
    module, runtime, _ = made(**settings)
    source, lengths = sources()
    copied = copies(source) if runtime.architecture.copy else None
    top = V + 3 if runtime.architecture.copy else V
    inputs = np.random.default_rng(2).integers(0, top, (len(source), 6))
    wanted, looked = log_probabilities(module, source, lengths, inputs, copied)
    state = start = runtime.start(source, lengths, copied=copied)
    for t in range(inputs.shape[1]):
        logits, state = runtime.step(inputs[:, t], state)
        shifted = logits - logits.max(-1, keepdims=True)
        found = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        # A probability of nothing is a large negative number, whichever.
        np.testing.assert_allclose(
            np.maximum(found, -60), np.maximum(wanted[:, t, : found.shape[1]], -60), atol=3e-5
        )
    targets = np.random.default_rng(3).integers(0, V, inputs.shape)
    found, weights = runtime.read(inputs, targets, start)
    rows, steps = np.indices(targets.shape)
    np.testing.assert_allclose(found, wanted[rows, steps, targets], atol=3e-5)
    assert_close(torch.from_numpy(weights), torch.from_numpy(looked), "weights")


@pytest.mark.parametrize("settings", ROWS[:4] + ROWS[-2:], ids=str)
def test_streams_are_values(settings):
    """Forked, dropped and reordered streams go on as if they had been alone."""
    _, runtime, _ = made(**settings)
    source, lengths = sources()
    copied = copies(source) if runtime.architecture.copy else None
    _, state = runtime.step(np.full(5, END), runtime.start(source, lengths, copied=copied))
    rows, ids = np.array([3, 3, 0, 4, 0, 3]), np.array([2, 5, 2, 8, 4, 2])
    forked = runtime.step(ids, runtime.select(state, rows))[0]
    for place, (row, id) in enumerate(zip(rows, ids, strict=True)):
        one = None if copied is None else copied[row : row + 1, : lengths[row]]
        alone = runtime.start(source[row : row + 1, : lengths[row]], lengths[row : row + 1],
                              copied=one)  # fmt: skip
        _, alone = runtime.step(np.array([END]), alone)
        logits = runtime.step(np.array([id]), alone)[0][0]
        np.testing.assert_allclose(forked[place, : len(logits)], logits, atol=1e-5)


@pytest.mark.parametrize("settings", [ROWS[1], ROWS[3], ROWS[-2]], ids=str)
def test_searches_find_what_the_module_finds(settings):
    """Greedy and beam search over the runtime, judged by whole passes of the torch module."""
    module, runtime, _ = made(**settings)
    source, lengths = sources()
    copied = copies(source) if runtime.architecture.copy else None
    start = runtime.start(source, lengths, copied=copied)
    size = V + 3 if copied is not None else V

    def logprobs(b, ids):
        one = slice(b, b + 1)
        inputs = np.array([[END, *ids]])
        given = None if copied is None else copied[one]
        found = log_probabilities(module, source[one], lengths[one], inputs, given)[0]
        return found[0, -1, :size]

    limits = [4] * len(source)
    greedy = search(runtime, start, limits, start=END, end=END, banned=(0,))
    for b, (hypothesis,) in enumerate(greedy):
        ids = ()
        while len(ids) < 4:
            token = int(logprobs(b, ids)[1:].argmax()) + 1
            if token == END:
                break
            ids = (*ids, token)
        assert hypothesis.ids == ids
    for b, (best,) in enumerate(
        search(runtime, start, [2] * 5, start=END, end=END, beams=V**2, length_penalty=0.7)
    ):
        first = logprobs(b, ())
        every = [(first[END], ())]
        for token in [t for t in range(size) if t != END and first[t] > -50]:
            second = logprobs(b, (token,))
            every += [
                ((first[token] + second[t]) / 2**0.7, (token,) if t == END else (token, t))
                for t in range(size)
            ]
        score, ids = max(every)
        assert best.ids == ids
        assert best.score == pytest.approx(score, abs=1e-5)


def test_damaged_models_are_told():
    _, runtime, words = made(layers=2)
    architecture = runtime.architecture
    tensors = {n: v.numpy() for n, v in made(layers=2)[0].state_dict().items()}
    for name in ("bridge.weight", "second.key.weight", "combine.bias", "reader.weight_hh_l0"):
        with pytest.raises(FormatError, match=name):
            RuntimeTranslator(architecture, {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(FormatError, match=r"combine.weight.*expected shape"):
        RuntimeTranslator(architecture, {**tensors, "combine.weight": np.ones((6, 3), np.float32)})
    layout = architecture.to_json()
    assert TranslatorArchitecture.from_json(layout) == architecture
    for change in ({"score": "cosine"}, {"encoder": None}, {"unknown": "x"}):
        with pytest.raises(FormatError, match=r"config\.json"):
            TranslatorArchitecture.from_json({**layout, **change})
    with pytest.raises(FormatError, match="unknown token below"):
        RuntimeTranslator(TranslatorArchitecture.from_json({**layout, "unknown": V}), tensors)
    assert words.unknown == 0
