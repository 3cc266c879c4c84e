"""The language model's module against embedding, layers, logits and cross-entropy by hand."""

import pytest
import torch
from torch.nn import functional

from recurra import native, ops
from recurra.nn import GRU, LSTM
from recurra.tasks.language_model.network import RecurrentLM
from tolerances import assert_all_close, assert_close

B, T, V = 3, 4, 13
MASK = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
KINDS = {
    "tied": lambda: RecurrentLM(V, LSTM(6, 6), embedding=6, tied=True),
    "untied": lambda: RecurrentLM(V, GRU(5, 6), embedding=5),
    "one-hot": lambda: RecurrentLM(V, LSTM(V, 6, 2), embedding=0),
    "projected": lambda: RecurrentLM(V, LSTM(4, 6, proj_size=4), embedding=4, tied=True),
}
EACH = pytest.mark.parametrize("kind", KINDS)
WITH_MASK = pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])


def problem(kind):
    torch.manual_seed(1)
    module = KINDS[kind]().double()
    torch.nn.init.normal_(module.head.bias)
    return module, torch.randint(V, (B, T)), torch.randint(V, (B, T))


def by_hand(module, inputs, targets, mask=None):
    """Losses (B, T), from logits."""
    one_hot = functional.one_hot(inputs, V).double()
    x = one_hot if module.embedding is None else one_hot @ module.embedding.weight
    outputs, _ = module.rnn(x.transpose(0, 1))
    logits = outputs.transpose(0, 1) @ module.head.weight.T + module.head.bias
    chosen = logits.gather(-1, targets[..., None])[..., 0]
    losses = torch.logsumexp(logits, -1) - chosen
    return logits, losses if mask is None else losses * mask


@WITH_MASK
@EACH
def test_losses_and_their_sum(kind, mask):
    module, inputs, targets = problem(kind)
    logits, losses = by_hand(module, inputs, targets, mask)
    found, state = module.losses(inputs, targets, mask=mask)
    assert_close(found, losses, kind)
    total, ended = module(inputs, targets, mask=mask)
    assert_close(total, losses.sum(), kind)
    shown, final = module(inputs)
    assert_close(shown, logits, kind)
    for one, other, third in zip(*map(tuple, (state, ended, final)), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)


@WITH_MASK
@EACH
def test_gradients(kind, mask):
    module, inputs, targets = problem(kind)
    found = []
    for losses in (
        module.losses(inputs, targets, mask=mask)[0],
        by_hand(module, inputs, targets, mask)[1],
    ):
        module.zero_grad()
        (losses * torch.arange(B * T).view(B, T)).sum().backward()
        found.append([p.grad.clone() for p in module.parameters()])
    assert_all_close(*found, kind)


@EACH
def test_gradients_through_logits(kind):
    """The way that holds them, which a user's own loss takes."""
    module, inputs, targets = problem(kind)
    found = []
    for logits in (module(inputs)[0], by_hand(module, inputs, targets)[0]):
        module.zero_grad()
        logits.square().sum().backward()
        found.append([p.grad.clone() for p in module.parameters()])
    assert_all_close(*found, kind)


@EACH
def test_stream_is_scored_the_same_in_pieces(kind):
    module, inputs, targets = problem(kind)
    whole, _ = module.losses(inputs, targets)
    first, state = module.losses(inputs[:, :1], targets[:, :1])
    rest, _ = module.losses(inputs[:, 1:], targets[:, 1:], state=state)
    assert_close(torch.cat([first, rest], 1), whole, kind)


@pytest.mark.skipif(not native.half_products(), reason="no products in bfloat16 here")
def test_precision_of_the_layers_is_that_of_the_loss():
    torch.manual_seed(1)
    exact = RecurrentLM(V, LSTM(6, 6), embedding=6, tied=True)
    half = RecurrentLM(V, LSTM(6, 6, precision="bf16"), embedding=6, tied=True)
    half.load_state_dict(exact.state_dict())
    ids = torch.randint(V, (B, T))
    outputs, _, weight = half._encode(ids.T, None)
    expected = ops.token_losses(
        outputs.flatten(0, 1), weight, half.head.bias, ids.T.flatten(), half=True
    )
    found, _ = half.losses(ids, ids)
    assert torch.equal(found.T.flatten(), expected)
    torch.testing.assert_close(found, exact.losses(ids, ids)[0], atol=0.05, rtol=0.05)
