import math

import pytest

from recurra.train.budget import Rates, auto_eval_every, fit_total, make_plan
from recurra.train.config import TrainConfig
from recurra.train.schedule import Schedule, plateau

# kind, warm-up, {step: share of the highest rate}, for 100 steps down to a tenth
RATES = [
    ("constant", 0, {0: 1.0, 50: 1.0, 99: 1.0}),
    ("constant", 4, {0: 0.2, 1: 0.4, 3: 0.8, 4: 1.0, 99: 1.0}),
    ("linear", 0, {0: 1.0, 50: 0.55, 90: 0.19, 100: 0.1}),
    ("linear", 0.2, {0: 1 / 21, 19: 20 / 21, 20: 1.0, 60: 0.55}),
    ("cosine", 0, {0: 1.0, 50: 0.55, 25: 0.1 + 0.45 * (1 + math.cos(math.pi / 4)), 100: 0.1}),
    ("cosine", 20, {20: 1.0, 60: 0.55}),
    ("plateau", 2, {0: 1 / 3, 2: 1.0, 99: 1.0}),
]


@pytest.mark.parametrize(("kind", "warmup", "shares"), RATES)
def test_learning_rate(kind, warmup, shares):
    config = TrainConfig(schedule=kind, warmup=warmup, min_lr=0.1, lr=3.0)
    schedule = Schedule.plan(config, 100)
    for step, share in shares.items():
        assert schedule.at(step) == pytest.approx(3.0 * share), step


def test_plateau_waits_then_falls_and_has_a_floor():
    config = TrainConfig(
        schedule="plateau", plateau_patience=1, plateau_factor=0.5, min_lr=0.2, lr=0.003
    )
    factor, waited, seen = 1.0, 0, []
    for improved in (True, False, False, False, True, False, False, False, False):
        factor, waited = plateau(config, factor, waited, improved=improved)
        seen.append(factor)
    assert seen == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert Schedule.plan(config, 50).at(40, factor=0.125) == pytest.approx(config.lr * 0.2)


@pytest.mark.parametrize(
    ("steps", "cost", "every"),
    [(2000, None, 100), (2000, 0, 100), (2000, 10, 200), (2000, 1000, 2000), (7, None, 1)],
)
def test_automatic_validation_is_twenty_times_and_a_twentieth_of_the_time(steps, cost, every):
    assert auto_eval_every(steps, cost) == every


LENGTHS = [
    ({"steps": 70}, 70),
    ({"epochs": 2.5}, 100),
    ({}, 400),
    ({"epochs": 0.001}, 1),
]


@pytest.mark.parametrize(("values", "steps"), LENGTHS, ids=str)
def test_length_in_steps(values, steps):
    plan = make_plan(TrainConfig(**values), epoch=40, cost=None, world=1, device="cpu")
    assert plan.steps == steps


def test_steps_fill_the_time_with_everything_counted():
    rates = Rates(step=0.01, validation=0.5, checkpoint=0.1, end=1.0)
    config = TrainConfig(minutes=1, eval_every=100, checkpoint_every=10.0)
    plan = make_plan(config, epoch=50, cost=None, world=1, device="cpu")
    steps = fit_total(config, plan, rates, 60, step=0)
    # A hundred steps and their validation are 1.5 s, a hundredth of that goes to checkpoints.
    assert steps == pytest.approx((60 - 1) / 1.01 / 1.5 * 100, rel=0.02)
    assert fit_total(config, plan, rates, 0.1, step=0) == 1
    # From the middle on, half of the time is enough.
    assert fit_total(config, plan, rates, 30, step=steps // 2) == pytest.approx(steps, rel=0.02)
