"""The fused, sync-free update against torch's own, unfused, with clip_grad_norm_."""

import copy
import itertools

import pytest
import torch
from torch import nn

from recurra.train.config import TrainConfig
from recurra.train.optim import Updater

LIMITS = {"rtol": 2e-5, "atol": 1e-6}  # a few float32 roundings, in another order


def model():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 5))
    net[2].weight = nn.Parameter(net[0].weight.detach().T.clone())
    return net


def reference(net, config):
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    decay = config.weight_decay
    if decay is None:
        decay = 0.1 if config.optimizer == "adamw" else 0.0
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=1, momentum=config.momentum, foreach=False)
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return make(groups, lr=1, betas=config.betas, foreach=False)


@pytest.mark.parametrize(
    ("optimizer", "clip", "extra"),
    [
        (optimizer, clip, extra)
        for optimizer, clip in itertools.product(("sgd", "adam", "adamw"), (None, 0.0, 0.05, 100))
        for extra in ({}, {"weight_decay": 0.02}, {"momentum": 0.9, "betas": (0.7, 0.8)})
    ],
)
def test_updates_are_those_of_torch(optimizer, clip, extra):
    config = TrainConfig(optimizer=optimizer, clip=clip, **extra)
    ours, theirs = model(), model()
    updater, opponent = Updater(ours, config), reference(theirs, config)
    for step in range(4):
        x = torch.randn(6, 5, generator=torch.Generator().manual_seed(step))
        norms = []
        for net in (ours, theirs):
            loss = (net(x) - x).pow(2).sum()
            loss.backward()
            norms.append(torch.cat([p.grad.flatten() for p in net.parameters()]).norm())
        norm, good = updater.step(loss, 0.01 * (step + 1))
        torch.testing.assert_close(norm, norms[0])
        assert good
        if clip:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        for group in opponent.param_groups:
            group["lr"] = 0.01 * (step + 1)
        opponent.step()
        opponent.zero_grad()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, **LIMITS)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_step_that_is_not_finite_changes_nothing(optimizer, first, where, bad):
    net = model()
    updater = Updater(net, TrainConfig(optimizer=optimizer, momentum=0.9))

    def step(spoil):
        loss = net(torch.ones(2, 5)).sum()
        loss.backward()
        if spoil and where == "gradient":
            net[0].bias.grad[2] = bad
        return updater.step(loss.detach() * (bad if spoil and where == "loss" else 1), 0.1)

    if not first:
        step(False)
    weights, memory = copy.deepcopy((net.state_dict(), updater.state()))
    _, good = step(True)
    assert not good
    torch.testing.assert_close(net.state_dict(), weights, rtol=0, atol=0)
    for name, value in updater.state().items():  # Adam's are made, as zeros, in its first step
        expected = memory.get(name, torch.zeros_like(value))
        torch.testing.assert_close(value, expected, rtol=0, atol=0)
    twin = copy.deepcopy(net)
    _, good = step(False)
    assert good
    assert all(torch.isfinite(p).all() for p in net.parameters())
    assert any((a != b).any() for a, b in zip(net.parameters(), twin.parameters(), strict=True))


def test_clipping_in_double_precision():
    net = model().double()
    before = [p.detach().clone() for p in net.parameters()]
    updater = Updater(net, TrainConfig(optimizer="sgd", clip=0.25))
    loss = net(torch.ones(2, 5, dtype=torch.float64)).sum()
    loss.backward()
    updater.step(loss.detach(), 1.0)
    moved = torch.cat([(p - b).flatten() for p, b in zip(net.parameters(), before, strict=True)])
    torch.testing.assert_close(moved.norm().item(), 0.25, rtol=1e-6, atol=0)


def test_its_state_comes_back():
    one, two = model(), model()
    config = TrainConfig()
    first, second = Updater(one, config), Updater(two, config)

    def step(net, updater):
        loss = net(torch.ones(2, 5)).sum()
        loss.backward()
        updater.step(loss, 0.1)

    for _ in range(3):
        step(one, first)
    two.load_state_dict(one.state_dict())
    second.load_state(first.state())
    step(one, first)
    step(two, second)
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=0)
