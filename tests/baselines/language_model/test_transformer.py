"""The Transformer language model: causal, measured as others are, saved and loaded."""

import math
import time

import numpy as np
import pytest
import torch
from torch.nn import functional

import recurra
from recurra.baselines import Budget, compare
from recurra.baselines.language_model.transformer import TransformerLanguageModel
from recurra.baselines.language_model.transformer_network import (
    TransformerLM,
    parameter_count,
    sizes_for,
)
from recurra.baselines.transformer_network import positions
from recurra.errors import FormatError, InputError
from tasks.texts import prose

V = 13


def module(context=8, dropout=0.0):
    torch.manual_seed(2)
    return TransformerLM(V, 8, 2, heads=2, context=context, dropout=dropout)


def ids(*shape, seed=0):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("training", [True, False])
def test_what_follows_changes_nothing_before(training):
    model = module().train(training)
    one = ids(3, 30)
    other = one.clone()
    other[:, 17:] = (other[:, 17:] + 1) % V
    found, changed = model(one)[0], model(other)[0]
    torch.testing.assert_close(found[:, :17], changed[:, :17], rtol=0, atol=1e-5)
    assert ((found[:, 17:] - changed[:, 17:]).abs() > 1e-4).any(-1).all()


def test_it_looks_back_half_a_context_at_least_and_a_whole_one_at_most():
    model = module(context=8).eval()
    tokens = ids(1, 24)
    logits = model(tokens)[0][0]

    def seen_from(place):
        """How far back the prediction after `place` depends on tokens."""
        back = 0
        for before in range(place, -1, -1):
            other = tokens.clone()
            other[0, before] = (other[0, before] + 1) % V
            if (model(other)[0][0, place] - logits[place]).abs().max() > 1e-6:
                back = place - before + 1
        return back

    assert [seen_from(place) for place in range(8, 24)] == [5, 6, 7, 8] * 4


def test_losses_are_cross_entropy_and_reading_in_parts_is_reading_at_once():
    model = module(context=8).eval()
    tokens = ids(2, 33)
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    logits, _ = model(inputs)
    expected = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    losses, _ = model.losses(inputs, targets)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)
    state, parts = None, []
    for first in (0, 4, 12):  # whole half contexts
        last = {0: 4, 4: 12, 12: 32}[first]
        found, state = model.losses(inputs[:, first:last], targets[:, first:last], state=state)
        parts.append(found)
    torch.testing.assert_close(torch.cat(parts, 1), losses, rtol=1e-5, atol=1e-6)


def test_a_row_depends_on_that_row_alone():
    model = module().eval()
    tokens = ids(3, 20)
    for row in range(3):
        alone = model(tokens[row : row + 1])[0]
        torch.testing.assert_close(model(tokens)[0][row], alone[0], rtol=1e-5, atol=1e-6)


def test_parameters_are_counted_and_chosen():
    for width, layers, units in ((8, 2, None), (24, 3, 50)):
        made = TransformerLM(V, width, layers, heads=4, context=8, dropout=0.0, feedforward=units)
        expected = parameter_count(V, width, layers, units or 4 * width)
        assert sum(p.numel() for p in made.parameters()) == expected
    width, units = sizes_for(2_000_000, 5000, 4, heads=4)
    assert width % 4 == 0
    assert 2 * width < units < 6 * width
    assert parameter_count(5000, width, 4, units) == pytest.approx(2_000_000, rel=1e-3)


SMALL = {"tokenizer": "word", "width": 16, "blocks": 1, "heads": 2, "context": 16, "batch": 4}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    train, held_out = folder / "train.txt", folder / "held-out.txt"
    train.write_text(prose(1500), encoding="utf-8")
    held_out.write_text(prose(400, seed=1), encoding="utf-8")
    return train, held_out


@pytest.fixture(scope="module")
def trained(texts):
    torch.set_num_threads(1)
    model = TransformerLanguageModel(**SMALL, epochs=3, lr=1e-2)
    model.fit(texts[0], valid=texts[1], budget=Budget(parameters=4000, seed=1))
    return model


def test_it_learns_measures_writes_and_is_saved(trained, texts, tmp_path):
    found = trained.evaluate(texts[1])
    uniform = len(trained.tokenizer)
    assert found.perplexity < 0.8 * uniform
    assert -trained.log_probabilities(texts[1]).sum() == pytest.approx(found.nats, rel=1e-6)
    assert trained.parameters == pytest.approx(4000, rel=0.01)
    written = str(trained.generate("the cat", max_tokens=8, seed=1))
    loaded = recurra.load(trained.save(tmp_path / "model"))
    assert isinstance(loaded, TransformerLanguageModel)
    assert loaded.evaluate(texts[1]) == found
    assert str(loaded.generate("the cat", max_tokens=8, seed=1)) == written
    config, tensors = dict(loaded.files.config), dict(loaded.files.tensors)
    for broken in ({**config, "model": {**config["model"], "width": 32}}, {**config, "model": {}}):
        files = type(loaded.files)(broken, tensors, loaded.files.tokenizer, "", tmp_path)
        with pytest.raises(FormatError, match=r"model\.safetensors|config\.json"):
            TransformerLanguageModel.from_files(files)


def test_steps_are_what_is_scored_token_by_token(trained):
    steps = trained.runtime
    tokens = np.arange(14).reshape(2, 7) % steps.vocab_size
    state, scored = steps.start(2), steps.start(2)
    for place in range(6):
        logits, state = steps.step(tokens[:, place], state)
        inputs, targets = tokens[:, place : place + 1], tokens[:, place + 1 : place + 2]
        found, scored = steps.log_probabilities(inputs, targets, scored)
        total = np.log(np.exp(logits.astype(float)).sum(1))
        chosen = logits[[0, 1], tokens[:, place + 1]] - total
        np.testing.assert_allclose(chosen, found[:, 0], atol=1e-5)
        np.testing.assert_array_equal(state, scored)
    read, _ = steps.read(tokens, np.array([3, 6]), steps.start(2))
    alone, _ = steps.read(tokens[:1, :3], None, steps.start(1))
    np.testing.assert_allclose(read[0], alone[0], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "batch"),
    [({"batch": 32, "bptt": 35}, 9), ({"batch": 16}, 8), ({"batch": 1, "bptt": 2}, 1)],
    ids=str,
)
def test_a_step_is_of_as_many_tokens_as_the_recurrent_model_reads(settings, batch):
    data = TransformerLanguageModel(**settings, context=128).data
    assert (data.batch, data.bptt) == (batch, 128)
    assert TransformerLanguageModel(batch=5, lines=True).data.batch == 5  # lines, not tokens


def test_mistakes_are_told_together():
    with pytest.raises(InputError, match=r"width must be a multiple of heads \(4\), received 30"):
        TransformerLanguageModel(width=30)
    with pytest.raises(InputError, match=r"blocks must .*dropout must"):
        TransformerLanguageModel(blocks=0, dropout=2.0)
    with pytest.raises(InputError, match="not trained yet"):
        TransformerLanguageModel().perplexity(text="a")


def test_language_models_are_compared(texts):
    found = compare(
        "lm",
        texts[0],
        valid=texts[1],
        test=texts[1],
        models=("lstm", "ngram", "transformer"),
        tokenizer="word",
        hidden=32,
        steps=12,
        batch=4,
        bptt=16,
        minutes=0.02,
        threads=1,
    )
    assert (found.metric, found.higher) == ("perplexity", False)
    assert {result.model for result in found.results} == {"lstm", "ngram", "transformer"}
    scores = [result.figures["perplexity"] for result in found.results]
    assert scores == sorted(scores)
    assert all(math.isfinite(score) and score < 60 for score in scores)
    lstm, rival = found["lstm"], found["transformer"]
    assert rival.parameters == pytest.approx(lstm.parameters, rel=0.02)
    assert found["ngram"].size > 1000


def test_a_long_context_costs_what_is_read(tmp_path):
    """A model says how long its context is; few tokens are read in the time of few."""
    from recurra.baselines.language_model.transformer import _Steps

    torch.manual_seed(1)
    short, long = module(context=32).eval(), module(context=1 << 16).eval()
    long.load_state_dict(short.state_dict())
    ids = np.arange(12)[None] % V
    steps = _Steps(long)
    started = time.process_time()
    logits, _ = steps.read(ids, None, steps.start(1))
    assert time.process_time() - started < 2  # its square would be minutes, and gigabytes
    # The last positions of a window are as they were with everything before them absent.
    reach = long.reach
    whole = torch.cat([torch.full((1, 4), -1), torch.from_numpy(ids)], 1)
    expected = long.embedding(whole.clamp(min=0)) * 8**0.5
    expected = expected + positions(reach + 12, 8)[reach - 4 :]
    mask = ((whole >= 0)[:, None, :] & torch.ones(16, 16, dtype=torch.bool).tril()) | torch.eye(
        16, dtype=torch.bool
    )
    for block in long.blocks:
        expected = block(expected, mask[:, None])
    expected = functional.linear(long.norm(expected), long.head.weight, long.head.bias)
    np.testing.assert_allclose(logits[0], expected[0, -1].detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_context_has_a_bound():
    with pytest.raises(InputError, match=r"context must be a whole number .* at most 65536"):
        TransformerLanguageModel(**{**SMALL, "context": 1 << 17})
