"""Perplexity, against uniform models, hand sums, and one stream."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from recurra.errors import InputError
from recurra.tasks.language_model import scores as scoring
from recurra.tasks.language_model.runtime import RuntimeLM
from recurra.tasks.language_model.scores import Evaluation, lines_nats, stream_nats
from recurra.text import LineBatches, TokenFile, train_tokenizer
from recurra.text.corpus import Corpus
from runtime.models import ROWS, Row, V, tensors

every = pytest.mark.parametrize("row", ROWS, ids=str)


def by_hand(model: RuntimeLM, tokens: np.ndarray) -> float:
    """-Σ ln softmax(logits)[next], a token at a time, in Python's floats."""
    state, total = model.start(1), 0.0
    for token, following in itertools.pairwise(tokens):
        logits, state = model.step(np.array([token]), state)
        values = [float(value) for value in logits[0]]
        total -= values[following] - math.log(sum(math.exp(value) for value in values))
    return total


def uniform(row: Row) -> RuntimeLM:
    module, _ = row.both()
    zeros = {name: np.zeros_like(value) for name, value in tensors(module).items()}
    return RuntimeLM(row.config.architecture(), zeros)


@every
@pytest.mark.parametrize("count", [2, 65, 400])
def test_a_model_that_knows_nothing_has_perplexity_v(row, count):
    tokens = np.arange(count) % V
    nats, scored = stream_nats(uniform(row), tokens)
    assert scored == count - 1
    found = Evaluation(nats, scored, scored, 1)
    assert found.perplexity == pytest.approx(V, rel=1e-12)
    assert found.bits_per_character == pytest.approx(math.log2(V), rel=1e-12)


@every
def test_a_text_scores_as_summed_by_hand(row):
    _, model = row.both()
    tokens = np.random.default_rng(3).integers(0, V, 90)  # more than one segment
    nats, count = stream_nats(model, tokens)
    assert count == 89
    assert nats == pytest.approx(by_hand(model, tokens), rel=1e-5)


def test_targets_are_the_tokens_that_follow():
    """A model whose bias is all for token 0 pays where token 0 follows nothing."""
    row = Row({"cell": "rnn"})
    weights = tensors(row.both()[0])
    weights["head.weight"][:] = 0
    weights["head.bias"][:] = np.log(np.arange(1, V + 1))
    model = RuntimeLM(row.config.architecture(), weights)
    tokens = np.array([10, 0, 3, 7])  # the first is context
    share = np.arange(1, V + 1) / np.arange(1, V + 1).sum()
    assert stream_nats(model, tokens)[0] == pytest.approx(-np.log(share[[0, 3, 7]]).sum(), rel=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("learnt", [False, True], ids=["zero", "learnt"])
def test_several_streams_are_one_stream(cell, learnt, monkeypatch):
    """Weights as training leaves them forget within `OVERLAP` steps: a relative 1e-5 of the sum."""
    row = Row({"cell": cell, "learn_initial_state": learnt})
    module, _ = row.both()
    milder = {name: value * 0.5 for name, value in tensors(module).items()}
    model = RuntimeLM(row.config.architecture(), milder)
    tokens = np.random.default_rng(5).integers(0, V, 3000)
    alone = stream_nats(model, tokens)
    for shortest, lead in ((700, 256), (100, 256), (300, 40), (94, 64)):
        # also streams shorter than their overlap: the second then begins before the text does
        monkeypatch.setattr(scoring, "SHORTEST", shortest)
        monkeypatch.setattr(scoring, "OVERLAP", lead)
        nats, count = stream_nats(model, tokens)
        assert count == alone[1] == 2999
        assert nats == pytest.approx(alone[0], rel=1e-5)


def test_without_overlap_streams_would_differ(monkeypatch):
    """The judge of the test above can tell: started from nothing, streams score otherwise."""
    _, model = Row({"cell": "lstm"}).both()
    tokens = np.random.default_rng(5).integers(0, V, 3000)
    alone = stream_nats(model, tokens)[0]
    monkeypatch.setattr(scoring, "SHORTEST", 100)
    monkeypatch.setattr(scoring, "OVERLAP", 0)
    assert stream_nats(model, tokens)[0] != pytest.approx(alone, rel=1e-5)


def test_one_stream_is_exact(monkeypatch):
    _, model = Row({"cell": "gru", "layers": 2}).both()
    tokens = np.random.default_rng(5).integers(0, V, 500)
    nats, _ = stream_nats(model, tokens)
    monkeypatch.setattr(scoring, "_SEGMENT", 499)
    assert stream_nats(model, tokens)[0] == pytest.approx(nats, rel=1e-12)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_predict(count):
    _, model = Row({"cell": "rnn"}).both()
    with pytest.raises(InputError, match=f"at least 2 tokens, received {count}"):
        stream_nats(model, np.zeros(count, np.uint8))


def test_lines_are_scored_each_for_itself(tmp_path):
    lines = ["abc", "a", "ccba", "bb", "abcabcabc"]
    tokenizer = train_tokenizer("char", lines, eos=True)
    corpus = Corpus.of("\n".join(lines))
    tokens = TokenFile.write(tmp_path / "tokens", corpus, tokenizer, lines=True)
    row = Row({"cell": "lstm", "layers": 2})
    module, _ = row.both()
    weights = tensors(module)
    for name in ("embedding.weight", "head.weight", "head.bias"):
        weights[name] = weights[name][: len(tokenizer)].copy()
    model = RuntimeLM(row.config.architecture(), weights)
    eos = [tokenizer.eos_id]
    expected = sum(
        by_hand(model, np.array([*eos, *tokenizer.encode(line), *eos])) for line in lines
    )
    for batch, bptt in ((1, None), (2, None), (5, None), (2, 3)):
        batches = LineBatches(tokens, batch=batch, bptt=bptt, shuffle=False)
        nats, count = lines_nats(model, batches)
        assert count == sum(map(len, lines)) + len(lines)
        assert nats == pytest.approx(expected, rel=1e-5)


def test_masked_places_do_not_count():
    _, model = Row({"cell": "gru"}).both()
    ids = np.random.default_rng(0).integers(0, V, (2, 6))
    mask = np.array([[True] * 5, [True] * 2 + [False] * 3])
    batch = SimpleNamespace(inputs=ids[:, :-1], targets=ids[:, 1:], mask=mask, carry=False)
    nats, count = lines_nats(model, [batch])
    assert count == 7
    assert nats == pytest.approx(by_hand(model, ids[0]) + by_hand(model, ids[1, :3]), rel=1e-5)


def test_figures_by_hand():
    found = Evaluation(nats=math.log(2) * 30, tokens=10, characters=20, words=5)
    assert found.nats_per_token == pytest.approx(3 * math.log(2))
    assert found.perplexity == pytest.approx(8)
    assert found.bits_per_character == pytest.approx(1.5)
    assert found.word_perplexity == pytest.approx(64)
    assert set(found.to_dict()) >= {"nats_per_token", "perplexity", "bits_per_character", "tokens"}
    assert "perplexity 8.000 per token" in str(found)
    assert Evaluation(1.0, 1, 1, 0).word_perplexity is None
    assert Evaluation(1e6, 1, 1, 1).perplexity == math.inf
