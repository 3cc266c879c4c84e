"""The loop against the same training written by hand, and what must not change its result."""

import numpy as np
import pytest
import torch
from torch import nn

from recurra.errors import InputError
from recurra.train import DivergedError, TrainConfig, fit, read_metrics
from recurra.train.schedule import Schedule
from train.small import Segments, SmallTask

pytestmark = pytest.mark.usefixtures("one_thread", "no_fsync")


def weights(task):
    return {name: p.detach().clone() for name, p in task.module.named_parameters()}


def assert_same(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def without_times(run):
    records = read_metrics(run / "metrics.jsonl")
    return [{k: v for k, v in r.items() if "second" not in k} for r in records]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_losses_are_those_of_a_loop_by_hand(tmp_path, optimizer):
    decay = 0.01 if optimizer == "adamw" else 0.0  # as torch's optimizers have it
    config = TrainConfig(
        steps=70, optimizer=optimizer, lr=0.02, weight_decay=decay, clip=0.5, eval_every=35
    )
    fit(SmallTask(dropout=0.0), tmp_path, config, report=False)
    found = [record["train_loss"] for record in without_times(tmp_path)]

    task = SmallTask(dropout=0.0)
    parameters = [
        {"params": [p for p in task.module.parameters() if p.ndim > 1]},
        {"params": [p for p in task.module.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    opponent = kinds[optimizer](parameters, lr=1, foreach=False)
    schedule = Schedule.plan(config, 70)
    by_hand, epoch, state = [], 0, None
    while len(by_hand) < 70:
        for segment in Segments(task.text, epoch, 0, 1):
            if not segment.carry:
                state = None
            logits, state = task.module(torch.from_numpy(segment.inputs), state)
            state = tuple(s.detach() for s in state)
            targets = torch.from_numpy(segment.targets)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            opponent.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(task.module.parameters(), 0.5)
            for group in opponent.param_groups:
                group["lr"] = schedule.at(len(by_hand))
            opponent.step()
            by_hand.append(loss.item())
            if len(by_hand) == 70:
                break
        epoch += 1
    np.testing.assert_allclose(found, by_hand, rtol=2e-4)  # float32 roundings, grown over 70 steps
    assert found[-1] < 0.9 * found[0]


WITHOUT_EFFECT = [
    {"checkpoint_every": 0.0},
    {"max_bad_steps": 1},
    {"eval_every": 3},
    {"eval_every": "epoch"},
]


@pytest.mark.parametrize("values", WITHOUT_EFFECT, ids=str)
def test_saving_and_validating_do_not_change_training(tmp_path, values):
    common = {"steps": 40, "eval_every": 40}
    plain, other = SmallTask(), SmallTask()
    fit(plain, tmp_path / "plain", TrainConfig(**common), report=False)
    fit(other, tmp_path / "other", TrainConfig(**{**common, **values}), report=False)
    lines = zip(without_times(tmp_path / "plain"), without_times(tmp_path / "other"), strict=True)
    for ours, theirs in lines:
        assert ours["train_loss"] == theirs["train_loss"]
        assert ours["grad_norm"] == theirs["grad_norm"]


def test_the_module_ends_with_the_best_weights_and_so_does_the_directory(tmp_path):
    task = SmallTask(tokens=300)
    config = TrainConfig(steps=300, eval_every=10, lr=0.03, schedule="constant")
    result = fit(task, tmp_path, config, report=False)
    assert result.best["step"] < result.last["step"] == 300
    assert result.best["loss"] < result.last["loss"]
    with torch.no_grad():
        assert task.validate()["loss"] == result.best["loss"]
    records = read_metrics(tmp_path / "metrics.jsonl")
    found = {r["step"]: r["valid_loss"] for r in records if "valid_loss" in r}
    assert list(found) == list(range(10, 301, 10))
    assert result.best["step"] == min(found, key=found.__getitem__)


class Judged(SmallTask):
    """Judges by a figure of its own, which is best where the loss is worst."""

    goal, goal_higher, unit = "surprise", True, "letters"

    def validate(self) -> dict[str, float]:
        found = super().validate()
        return {**found, "surprise": found["loss"]}


def test_the_best_model_is_that_of_the_figure_the_task_is_judged_by(tmp_path):
    config = TrainConfig(steps=100, eval_every=10, lr=0.03, schedule="constant")
    result = fit(Judged(tokens=300), tmp_path, config)
    records = [r for r in read_metrics(tmp_path / "metrics.jsonl") if "valid_loss" in r]
    highest = max(records, key=lambda r: r["valid_surprise"])
    assert result.best["step"] == highest["step"]
    assert result.best["surprise"] == highest["valid_loss"] > records[3]["valid_loss"]
    page = (tmp_path / "report.html").read_text()
    assert "Letters per second" in page
    assert f"{highest['step']:,}" in page


def test_of_models_with_the_same_figure_the_one_with_the_lower_loss_is_kept(tmp_path):
    class Level(Judged):
        def validate(self):
            return {**super().validate(), "surprise": 1.0}

    config = TrainConfig(steps=40, eval_every=4, lr=0.003, schedule="constant")
    result = fit(Level(tokens=300), tmp_path, config, report=False)
    records = [r for r in read_metrics(tmp_path / "metrics.jsonl") if "valid_loss" in r]
    assert result.best["step"] == min(records, key=lambda r: r["valid_loss"])["step"] > 4


def test_patience_ends_a_run_that_does_not_improve(tmp_path):
    config = TrainConfig(steps=1000, eval_every=10, lr=0.03, schedule="constant", patience=3)
    result = fit(SmallTask(tokens=300), tmp_path, config, report=False)
    assert result.stopped == "patience"
    assert result.steps == result.best["step"] + 30 < 1000
    again = fit(SmallTask(tokens=300), tmp_path, config, report=False)
    assert again.steps == result.steps


def test_plateau_lowers_the_rate_when_validation_stands_still(tmp_path):
    config = TrainConfig(steps=200, eval_every=5, lr=0.03, schedule="plateau", warmup=0)
    fit(SmallTask(tokens=300), tmp_path, config, report=False)
    rates = {record["lr"] for record in read_metrics(tmp_path / "metrics.jsonl")}
    assert {0.03, 0.015, 0.0075} <= rates


def test_a_step_that_is_not_finite_is_skipped_and_told(tmp_path):
    config = TrainConfig(steps=30, eval_every=30)
    task = SmallTask(poison=[5, 6, 12])
    result = fit(task, tmp_path, config, report=False)
    records = {record["step"]: record for record in read_metrics(tmp_path / "metrics.jsonl")}
    assert result.skipped_steps == 3
    assert len(records) == 30
    for step, record in records.items():
        bad = step in (5, 6, 12)
        assert record["skipped"] == bad
        assert np.isnan(record["train_loss"]) == np.isnan(record["grad_norm"]) == bad
    assert all(torch.isfinite(p).all() for p in task.module.parameters())


def test_too_many_in_a_row_end_the_run_with_its_last_good_checkpoint(tmp_path):
    config = TrainConfig(steps=60, checkpoint_every=0.0, max_bad_steps=4)
    task = SmallTask(poison=[3, 4, 5, 20, 21, 22, 23, 24, 25])
    with pytest.raises(DivergedError) as caught:
        fit(task, tmp_path, config, report=False)
    text = str(caught.value)
    assert "4 steps in a row were not finite, the last was step 23 " in text
    assert "loss nan, gradient norm nan" in text
    assert "lower learning rate" in text
    assert "clipping" in text
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {"step-18", "step-19"}
    assert [r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")][-1] == 23
    # What was wrong being put right, the same run goes on from there.
    assert fit(SmallTask(), tmp_path, config, report=False).steps == 60


def test_a_validation_that_is_not_finite_is_no_best(tmp_path):
    class Unmeasured(SmallTask):
        def validate(self):
            found = super().validate()
            return {**found, "loss": float("nan") if self.validations % 2 else found["loss"]}

    result = fit(Unmeasured(), tmp_path, TrainConfig(steps=30, eval_every=10), report=False)
    records = read_metrics(tmp_path / "metrics.jsonl")
    found = [record["valid_loss"] for record in records if "valid_loss" in record]
    assert [np.isnan(value) for value in found] == [True, False, True]
    assert result.best["step"] == 20
    assert np.isnan(result.last["loss"])


def test_no_batch_is_an_error(tmp_path):
    with pytest.raises(InputError, match="not one batch"):
        fit(SmallTask(tokens=30), tmp_path, TrainConfig(steps=5), report=False)


def test_global_settings_are_left_as_they_were(tmp_path):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    config = TrainConfig(steps=5, threads=1, deterministic=True)
    fit(SmallTask(), tmp_path / "run", config, report=False)
    task = SmallTask()
    state = torch.get_rng_state()
    fit(task, tmp_path / "other", config, report=False)
    assert_same(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_it_prints_nothing(tmp_path, capfd):
    fit(SmallTask(), tmp_path, TrainConfig(steps=5))
    assert capfd.readouterr() == ("", "")
