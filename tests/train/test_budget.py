"""A budget in minutes: kept on a machine whose speed changes, recorded, and repeated exactly."""

import itertools
import json
import time

import pytest
import torch

from recurra.errors import InputError
from recurra.storage import Checkpoints
from recurra.train import TrainConfig, fit, read_metrics
from recurra.train.budget import Plan, auto_eval_every, make_plan
from recurra.train.config import parse_plan, write_plan
from recurra.train.pace import Pace
from recurra.train.schedule import Schedule
from train.kill_runs import left
from train.small import SmallTask

pytestmark = pytest.mark.usefixtures("one_thread", "no_fsync")

MINUTES = 4.0

#: Seconds of a step when so many seconds are gone.
MACHINES = {
    "steady": lambda gone: 0.1,
    "fast": lambda gone: 0.002,
    "slow": lambda gone: 6.0,
    "busy at first": lambda gone: 0.4 if gone < 30 else 0.1,
    "busy later": lambda gone: 0.1 if gone < 120 else 0.35,
    "busy at the end": lambda gone: 0.1 if gone < 200 else 0.3,
    "in turns": lambda gone: 0.1 if int(gone / 9) % 2 else 0.3,
    "slow to start": lambda gone: 20.0 if gone < 5 else 0.05,
}


def simulate(speed, *, before=3.0, validation=2.0, cost=None, save=0.2, end=1.5, every="auto"):
    """The seconds a run takes and its plan, with the loop's order of things but no model."""
    config = TrainConfig(minutes=MINUTES, eval_every=every)
    plan = make_plan(config, epoch=400, cost=cost, world=1, device="cpu")
    pace = Pace(config, save=save, report=end)
    gone, step, saved, now = before, 0, before, plan
    while step < now.steps:
        seconds = speed(gone)
        gone, step = gone + seconds, step + 1
        pace.stepped(1, seconds)
        total = pace.wish(now, step=step, spent=gone)
        if total:
            plan = plan.revised(step, total, config)
        now = plan.at(step, config)
        if step % (now.eval_every or now.epoch) == 0 or step >= now.steps:
            gone += validation * speed(gone) / 0.1
            pace.validated(validation * speed(gone) / 0.1)
        if gone - saved > 60:
            gone, saved = gone + save, gone
            pace.saved(save)
    return gone + save + end, plan


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("every", ["auto", 100])
def test_a_run_ends_within_five_hundredths_of_its_budget(name, every):
    # A validation of 2 s at 0.1 s a step is 20 steps; on slower and faster machines it scales.
    seconds, plan = simulate(MACHINES[name], cost=20.0, every=every)
    assert seconds == pytest.approx(60 * MINUTES, rel=0.05)
    assert len(plan.revisions) < 80


def test_a_steady_machine_is_planned_once_and_seldom_again():
    _, plan = simulate(MACHINES["steady"], validation=0.0)
    assert len(plan.revisions) <= 4


def test_the_learning_rate_falls_without_a_jump_to_the_end_of_the_run():
    config = TrainConfig(minutes=MINUTES)
    for name in ("busy at first", "busy at the end", "in turns"):
        _, plan = simulate(MACHINES[name])
        rates = []
        for step in range(plan.steps):
            now = plan.at(step, config)
            rates.append(Schedule.plan(config, now.steps).at(now.place(step)))
        assert rates[-1] < 0.02 * max(rates)
        late = rates[len(rates) // 20 :]
        falls = [a - b for a, b in itertools.pairwise(late)]
        assert max(falls) < 0.02 * max(rates)
        assert min(falls) > -1e-3 * max(rates)  # where a revision falls into the warm-up at most


def test_a_plan_without_revisions_is_the_steps_themselves():
    plan = make_plan(TrainConfig(plan="0:70"), epoch=10, cost=None, world=1, device="cpu")
    given = make_plan(TrainConfig(steps=70), epoch=10, cost=None, world=1, device="cpu")
    assert [plan.place(step) for step in range(70)] == list(range(70))
    assert (plan.steps, plan.eval_every, plan.log_every) == (
        given.steps,
        given.eval_every,
        given.log_every,
    )


def test_revisions_count_from_their_step_on():
    config = TrainConfig(minutes=1)
    plan = make_plan(config, epoch=10, cost=None, world=1, device="cpu")
    plan = plan.revised(2, 200, config).revised(50, 100, config)
    assert plan.text == "0:1000,2:200,50:100"
    assert [plan.at(step, config).steps for step in (0, 1, 2, 49, 50, 99)] == [
        1000, 1000, 200, 200, 100, 100,
    ]  # fmt: skip
    assert plan.at(10, config).eval_every == auto_eval_every(200, None)
    assert plan.place(100) == 100
    half = plan.at(49, config).place(50) / 200
    assert plan.place(75) / 100 == pytest.approx(half + (1 - half) / 2)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    "text", ["", "0", "5:10", "0:10,0:20", "0:10,8:20,7:30", "0:10,12:11", "a:b", "0:0", "0:1:2"]
)
def test_a_text_that_is_no_plan_is_refused_in_a_line(text):
    with pytest.raises(InputError, match=r"plan: expected STEP:TOTAL|plan must be"):
        TrainConfig(plan=text).validate()
    with pytest.raises(InputError, match="plan ends after 10"):
        TrainConfig(plan="0:10", steps=11).validate()
    with pytest.raises(InputError, match="only one of"):
        TrainConfig(plan="0:10", minutes=1).validate()
    assert write_plan(parse_plan("0:10,4:30")) == "0:10,4:30"


class Clock:
    """Seconds that pass with each step and validation, in place of those of the machine."""

    def __init__(self, monkeypatch, speed):
        self.now, self.speed, self.begun = 1000.0, speed, None
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def pass_step(self):
        self.begun = self.now if self.begun is None else self.begun
        self.now += self.speed(self.now - 1000.0)


class TimedTask(SmallTask):
    """Its steps take the seconds of a clock; after `stop` of them it fails, as a kill would."""

    def __init__(self, clock, stop=None, **settings):
        super().__init__(**settings)
        self.clock, self.stop, self.planned, self.saved = clock, stop, "", []

    def loss(self, batch, state):
        if self.calls == self.stop:
            raise KeyError("stop")
        self.clock.pass_step()
        return super().loss(batch, state)

    def validate(self):
        self.clock.now += 0.2
        return super().validate()

    def save(self, directory):
        self.saved.append(self.planned)
        super().save(directory)


def changing(gone):
    return 0.05 if gone < 5 else 0.15 if gone < 12 else 0.08


CONFIG = {"minutes": 0.4, "checkpoint_every": 1.0}


@pytest.fixture
def unbroken(tmp_path, monkeypatch):
    clock = Clock(monkeypatch, changing)
    task = TimedTask(clock)
    result = fit(task, tmp_path / "unbroken", TrainConfig(**CONFIG), report=False)
    return task, clock, result, tmp_path / "unbroken"


def plan_of(run):
    return json.loads((run / "config.json").read_text())["plan"]["revisions"]


def test_the_time_is_kept_and_the_plan_written_everywhere(unbroken):
    task, clock, result, run = unbroken
    assert clock.now - 1000 == pytest.approx(24, rel=0.05)
    assert clock.begun - 1000 < 0.1  # nothing is timed before the first step
    text = plan_of(run)
    revisions = parse_plan(text)
    assert revisions[-1][1] == result.steps
    assert len(revisions) > 2
    latest, _ = Checkpoints(run / "checkpoints").latest()
    assert latest.state["plan"] == text
    assert text.startswith(task.saved[-1])
    assert task.saved[-1]
    assert read_metrics(run / "metrics.jsonl")[-1]["lr"] < 0.02 * 0.006


def test_the_plan_as_carried_out_gives_the_bytes(unbroken, tmp_path):
    task, clock, result, run = unbroken
    again = TimedTask(clock)
    config = TrainConfig(steps=result.steps, plan=plan_of(run), checkpoint_every=1.0)
    fit(again, tmp_path / "again", config, report=False)
    for ours, theirs in zip(task.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert left(tmp_path / "again") == left(run)
    assert task.saved == again.saved


@pytest.mark.parametrize("stops", [[1], [3], [40, 30], [90, 1, 20], [150]])
def test_a_run_that_was_killed_ends_as_its_plan_says(stops, tmp_path, monkeypatch):
    clock, run = Clock(monkeypatch, changing), tmp_path / "run"
    for stop in stops:
        with pytest.raises(KeyError):
            fit(TimedTask(clock, stop), run, TrainConfig(**CONFIG), report=False)
    task = TimedTask(clock)
    result = fit(task, run, TrainConfig(**CONFIG), report=False)
    revisions = parse_plan(plan_of(run))
    assert revisions[-1][1] == result.steps
    config = TrainConfig(plan=plan_of(run), checkpoint_every=1.0)
    fit(TimedTask(clock), tmp_path / "again", config, report=False)
    assert left(tmp_path / "again") == left(run)


def test_a_budget_is_kept(tmp_path):
    start = time.monotonic()
    fit(SmallTask(tokens=20_000), tmp_path, TrainConfig(minutes=0.06), report=False)
    assert time.monotonic() - start == pytest.approx(3.6, rel=0.15)
    assert torch.get_num_threads() == 1
