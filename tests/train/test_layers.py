"""Layers that begin to learn one after the other, each at a rate of its own."""

import pytest
import torch
from torch import nn

from recurra.errors import InputError
from recurra.train import TrainConfig, fit
from recurra.train.layers import Unfreezing, by_depth, layers_of
from recurra.train.optim import Updater
from train.kill_runs import left
from train.small import SmallTask
from train.test_resume import Stopper

pytestmark = pytest.mark.usefixtures("one_thread", "no_fsync")


@pytest.mark.parametrize(
    ("settings", "steps", "shares"),
    [
        ({}, 10, {0: (1, 1, 1), 9: (1, 1, 1)}),
        ({"lr_decay": 0.5}, 10, {0: (0.25, 0.5, 1), 9: (0.25, 0.5, 1)}),
        ({"unfreeze": 4.0}, 90, {0: (0, 0, 1), 3: (0, 0, 1), 4: (0, 1, 1), 8: (1, 1, 1)}),
        (
            {"unfreeze": 0.1, "lr_decay": 0.5},
            30,
            {2: (0, 0, 1), 3: (0, 0.5, 1), 29: (0.25, 0.5, 1)},
        ),
        ({"unfreeze": 0.01}, 30, {0: (0, 0, 1), 1: (0, 1, 1), 2: (1, 1, 1)}),
    ],
)
def test_who_learns_when(settings, steps, shares):
    plan = Unfreezing.plan(TrainConfig(**settings), steps, count=3)
    for step, expected in shares.items():
        assert plan.at(step) == pytest.approx(expected)
    assert plan.whole == plan.at(10_000)


def test_layers_are_told_apart_by_their_names():
    names = [
        "embedding.weight",
        "embedding.grams",
        "rnn.weight_ih_l0",
        "rnn.weight_ih_l0_reverse",
        "rnn.initial_h",
        "rnn.bias_hh_l10",
        "rnn.weight_hh_l1",
        "pool.weight",
        "head.bias",
    ]
    assert by_depth(reversed(names)) == [
        ["embedding.grams", "embedding.weight"],
        ["rnn.initial_h", "rnn.weight_ih_l0_reverse", "rnn.weight_ih_l0"],
        ["rnn.weight_hh_l1"],
        ["rnn.bias_hh_l10"],
        ["head.bias", "pool.weight"],
    ]  # fmt: skip


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


LAYERS = [["0.weight", "0.bias"], ["2.weight", "2.bias"], ["4.weight", "4.bias"]]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kernels", [True, False])
def test_each_layer_moves_as_alone_with_its_own_rate(optimizer, kernels, monkeypatch):
    if not kernels:
        monkeypatch.setattr("recurra.train.optim.Updater._by_kernel", lambda _, parameters: False)
    config = TrainConfig(optimizer=optimizer, clip=0, momentum=0.5)
    shares = (0.0, 0.25, 1.0)
    ours = net()
    updater = Updater(ours, config, layers=LAYERS)
    alone = [net() for _ in LAYERS]
    updaters = [
        Updater(
            module.requires_grad_(False)[2 * n].requires_grad_(True), TrainConfig(
                optimizer=optimizer, clip=0, momentum=0.5
            )
        )
        for n, module in enumerate(alone)
    ]  # fmt: skip
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        for module in alone:  # every layer's twin sees the others as they are in ours
            for n, name in enumerate(LAYERS):
                if module is not alone[n]:
                    for key in name:
                        module.state_dict()[key].copy_(ours.state_dict()[key])
        ours(x).pow(2).sum().backward()
        losses = []
        for n, (module, own) in enumerate(zip(alone, updaters, strict=True)):
            loss = module(x).pow(2).sum()
            loss.backward()
            losses.append(loss)
            if shares[n]:
                own.step(loss.detach(), 0.02 * shares[n])
        updater.step(losses[0].detach(), 0.02, shares=shares)
        for n, names in enumerate(LAYERS):
            for name in names:
                a, b = ours.state_dict()[name], alone[n].state_dict()[name]
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    assert (ours.state_dict()["0.weight"] == net().state_dict()["0.weight"]).all()
    assert not any(name.startswith("0.") for name in updater.state() if "exp_avg" in name)


def test_what_does_not_learn_is_no_part_of_the_norm():
    module = net()
    updater = Updater(module, TrainConfig(), layers=LAYERS)
    loss = module(torch.ones(2, 4)).pow(2).sum()
    loss.backward()
    expected = torch.cat([p.grad.flatten() for p in module[4].parameters()]).norm()
    norm, _ = updater.step(loss.detach(), 0.1, shares=(0.0, 0.0, 1.0))
    torch.testing.assert_close(norm.float(), expected)


class LayeredTask(SmallTask):
    def layers(self):
        return by_depth(name for name, _ in self.module.named_parameters())


CONFIG = {"steps": 24, "eval_every": 6, "checkpoint_every": 0.0, "unfreeze": 0.25, "lr_decay": 0.4}


def run(path, stop=None, **settings):
    config, stopper = TrainConfig(**{**CONFIG, **settings}), Stopper(stop)
    options = {"identity": {}, "callbacks": [stopper], "report": False}
    if stop is None:
        return fit(LayeredTask(), path, config, **options)
    with pytest.raises(KeyError):
        fit(LayeredTask(), path, config, **options)
    return None


def test_a_run_that_unfreezes_is_resumed_exactly(tmp_path):
    run(tmp_path / "whole")
    # before, at and after the steps (6 and 12) at which a layer begins to learn
    for stop in (3, 7, 13):
        run(tmp_path / "broken", stop)
    run(tmp_path / "broken")
    assert left(tmp_path / "broken") == left(tmp_path / "whole")
    run(tmp_path / "other", unfreeze=0.0)
    assert left(tmp_path / "other") != left(tmp_path / "whole")


def test_the_first_layers_stay_as_they_were_until_their_turn(tmp_path):
    task = LayeredTask()
    before = {name: p.detach().clone() for name, p in task.module.named_parameters()}
    groups = task.layers()
    config = TrainConfig(**{**CONFIG, "steps": 12, "unfreeze": 6.0, "eval_every": 12})
    fit(task, tmp_path, config, identity={}, report=False)
    moved = [
        all((before[n] != p).any() for n, p in task.module.named_parameters() if n in names)
        for names in groups
    ]
    assert moved == [False, True, True]
    names = groups[0]
    same = [(before[n] == p).all() for n, p in task.module.named_parameters() if n in names]
    assert all(same)


def test_a_task_without_layers_is_told_so():
    with pytest.raises(InputError, match="unfreeze, lr_decay: the model has no layers"):
        layers_of(SmallTask(), TrainConfig(unfreeze=0.1))
    names = [name for name, _ in SmallTask().module.named_parameters()]
    assert layers_of(SmallTask(), TrainConfig()) == [names]
