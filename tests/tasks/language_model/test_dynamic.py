"""Dynamic evaluation: what it learns, when, and by how much."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from recurra.errors import InputError
from recurra.nn import Recurrent
from recurra.tasks.language_model.dynamic import dynamic_losses, gradient_sizes
from recurra.tasks.language_model.dynamic_settings import DynamicConfig
from recurra.tasks.language_model.network import RecurrentLM
from recurra.text import StreamBatches

pytestmark = pytest.mark.usefixtures("one_thread")

V = 11


def model():
    torch.manual_seed(5)
    rnn = Recurrent("lstm", 8, 8, 2, dropout=0.4)
    return RecurrentLM(V, rnn, embedding=8, tied=True, embedding_dropout=0.3, output_dropout=0.5)


def text(length, seed=0):
    return np.random.default_rng(seed).integers(0, V, length).astype(np.uint8)


def sizes(module):
    return gradient_sizes(module, StreamBatches(text(900, 7), batch=4, bptt=10, seed=0, epoch=0))


def losses(config, *texts, module=None):
    module = module or model()
    own = sizes(module) if config.rule == "rms" else None
    return list(dynamic_losses(module, texts, config, sizes=own))


RULES = [
    DynamicConfig(rule="sgd", lr=0.5, decay=0.02, segment=5),
    DynamicConfig(rule="rms", lr=0.01, decay=0.05, segment=5),
]
every = pytest.mark.parametrize("config", RULES, ids=lambda c: c.rule)


@every
@pytest.mark.parametrize("change", [17, 18, 40])
def test_no_token_is_learnt_from_before_it_is_predicted(config, change):
    """Tokens from `change` on are others: what was found before them stays the same."""
    one, other = text(60), text(60)
    other[change:] = (other[change:] + 1 + text(60 - change, 3) % (V - 1)) % V
    found, changed = (np.concatenate(losses(config, tokens)) for tokens in (one, other))
    assert len(found) == 59
    # the loss at place n is of token n + 1
    np.testing.assert_allclose(found[: change - 1], changed[: change - 1], rtol=0, atol=1e-6)
    assert (np.abs(found[change - 1 :] - changed[change - 1 :]) > 1e-3).mean() > 0.9


@every
def test_each_segment_is_learnt_from_before_the_next(config):
    """It does learn: the losses of the second segment depend on how the first was learnt."""
    still = np.concatenate(losses(DynamicConfig(lr=0.0, decay=0.0, segment=5), text(60)))
    found = np.concatenate(losses(config, text(60)))
    np.testing.assert_allclose(found[:5], still[:5], rtol=0, atol=1e-6)
    assert (np.abs(found[5:] - still[5:]) > 1e-4).mean() > 0.9


def test_without_learning_it_is_the_plain_evaluation_without_dropout():
    module, tokens = model().eval(), text(48)
    ids = torch.from_numpy(tokens.astype(np.int64))[None]
    expected, _ = module.losses(ids[:, :-1], ids[:, 1:])
    found = losses(DynamicConfig(lr=0.0, decay=0.0, segment=7), tokens, module=module.train())
    assert [len(part) for part in found] == [7] * 6 + [5]
    np.testing.assert_allclose(np.concatenate(found), expected[0].detach(), rtol=1e-5)


@every
def test_steps_are_those_of_the_paper(config):
    """Two steps by hand, on a twin whose weights autograd moves."""
    module, tokens = model(), text(11)
    twin = copy.deepcopy(module).eval()
    trained = [p.detach().clone() for p in twin.parameters()]
    usual = sizes(model()) if config.rule == "rms" else [torch.tensor(1.0)] * len(trained)
    mean = torch.cat([s.flatten() for s in usual]).mean()
    list(dynamic_losses(module, [tokens], config, sizes=usual if config.rule == "rms" else None))
    ids, state = torch.from_numpy(tokens.astype(np.int64))[None], None
    for first in (0, 5):
        logits, state = twin(ids[:, first : first + 5], state=state)
        loss = functional.cross_entropy(logits[0], ids[0, first + 1 : first + 6])
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        state = tuple(s.detach() for s in state)
        with torch.no_grad():
            moves = zip(twin.parameters(), gradients, trained, usual, strict=True)
            for p, gradient, start, size in moves:
                back, scale = config.decay, 1.0
                if config.rule == "rms":
                    back, scale = (config.decay * size / mean).clamp(max=1), 1 / (size + 0.001)
                p += -config.lr * gradient * scale + back * (start - p)
    for own, expected in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-6)


def test_sizes_are_root_mean_squares():
    module = model()
    batches = list(StreamBatches(text(200, 2), batch=4, bptt=10, seed=0, epoch=0))
    found = gradient_sizes(module, batches)
    squares = 0
    for batch in batches:
        module.zero_grad()
        logits, _ = module.eval()(torch.from_numpy(batch.inputs))
        functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten()
        ).backward()
        squares += torch.cat([p.grad.flatten() for p in module.parameters()]) ** 2
    expected = (squares / len(batches)).sqrt()
    torch.testing.assert_close(
        torch.cat([size.flatten() for size in found]), expected, rtol=1e-4, atol=1e-7
    )


@every
def test_a_text_that_repeats_itself_gets_easier_and_the_next_text_gains(config):
    tokens = np.tile(np.array([3, 1, 4], np.uint8), 60)  # three symbols of eleven
    config = dataclasses.replace(config, decay=0.001)
    once = losses(config, tokens)
    assert np.mean(once[-1]) < 0.7 * np.mean(once[0])
    after = losses(config, tokens, tokens[:6])
    assert np.mean(after[-1]) < 0.7 * np.mean(once[0])


def test_the_way_back_leads_to_the_trained_weights():
    module = model()
    trained = [p.detach().clone() for p in module.parameters()]
    config = DynamicConfig(lr=0.5, decay=1.0, segment=5)
    list(dynamic_losses(module, [text(60)], config))
    # with a share of 1, only the last step is left of all
    steps = [(p - t).abs().max().item() for p, t in zip(module.parameters(), trained, strict=True)]
    assert 0 < max(steps) < 0.5


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"rule": "adam"}, "rule must be one of"), ({"lr": -1}, "lr must"), ({"decay": 2}, "decay"),
     ({"segment": 0}, "segment must be a whole number"), ({"epsilon": 0}, "epsilon must")],
)  # fmt: skip
def test_settings_that_do_not_fit(settings, told):
    with pytest.raises(InputError, match=told):
        DynamicConfig(**settings).validate()
