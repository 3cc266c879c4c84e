"""Going on with a run: exactly, or not at all."""

import json
import shutil

import pytest
import torch

from recurra.errors import FormatError, InputError
from recurra.train import TrainConfig, fit
from train.kill_runs import left
from train.small import SmallTask

pytestmark = pytest.mark.usefixtures("one_thread", "no_fsync")

CONFIG = {"steps": 40, "eval_every": 10, "checkpoint_every": 0.0}
IDENTITY = {"data": {"sha256": "0123"}, "model": {"hidden": 16}}


class Stopper:
    """Raises after a step, as a crash would."""

    def __init__(self, step):
        self.step = step

    def on_start(self, event):
        self.resumed = event.step
        self.notes = event.notes

    def on_step(self, event):
        if event.step == self.step:
            raise KeyError("stop")

    def on_validation(self, event):
        pass

    def on_end(self, result):
        self.result = result


def run(path, stop=None, *, identity=IDENTITY, fresh=False, **values):
    stopper = Stopper(stop)
    config = TrainConfig(**{**CONFIG, **values})
    task = SmallTask()
    options = {"identity": identity, "fresh": fresh, "callbacks": [stopper], "report": False}
    if stop is None:
        fit(task, path, config, **options)
    else:
        with pytest.raises(KeyError):
            fit(task, path, config, **options)
    return stopper


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "run"
    torch.set_num_threads(1)
    run(path)
    return left(path)


@pytest.mark.parametrize("stop", [1, 10, 11, 28, 29, 30, 40])
def test_a_crash_at_any_step_changes_nothing(tmp_path, unbroken, stop):
    assert run(tmp_path, stop).result is None
    again = run(tmp_path)
    assert again.resumed == stop - 1
    assert again.result.steps == 40
    assert left(tmp_path) == unbroken


def test_a_damaged_checkpoint_is_passed_over_with_a_note(tmp_path, unbroken):
    run(tmp_path, 30)
    file = tmp_path / "checkpoints" / "step-29" / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    again = run(tmp_path)
    assert again.resumed == 28
    assert "step 29 skipped" in again.notes[0]
    assert left(tmp_path) == unbroken


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DESTROYED = {
    "damaged": lambda folder: [damage(f) for f in folder.rglob("*.safetensors")],
    "cut": lambda folder: [f.write_bytes(f.read_bytes()[:100]) for f in folder.rglob("state.json")],
    "removed": shutil.rmtree,
}


@pytest.mark.parametrize("how", DESTROYED)
def test_a_run_without_a_whole_checkpoint_stops_and_says_so(tmp_path, unbroken, how):
    run(tmp_path, 30)
    DESTROYED[how](tmp_path / "checkpoints")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != "lock"}
    with pytest.raises(FormatError, match="no checkpoint of it can be read") as caught:
        run(tmp_path)
    assert "--fresh" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {p: p.read_bytes() for p in before} == before
    run(tmp_path, fresh=True)
    assert left(tmp_path) == unbroken


def test_a_finished_run_does_nothing(tmp_path):
    run(tmp_path)
    before = left(tmp_path)
    task = SmallTask()
    torch.nn.init.zeros_(task.module.head.bias)
    stopper = Stopper(None)
    config = TrainConfig(**CONFIG)
    result = fit(task, tmp_path, config, identity=IDENTITY, callbacks=[stopper], report=False)
    assert result.steps == 40
    assert task.calls == task.validations == 0
    assert "finished after 40 steps" in stopper.notes[0]
    assert left(tmp_path) == before
    with torch.no_grad():
        assert task.validate()["loss"] == result.best["loss"]


DIFFERENT = [
    ({"lr": 0.5}, IDENTITY, "lr None there, 0.5 now"),
    ({"seed": 3, "clip": None}, IDENTITY, "clip 1.0 there, None now; seed 0 there, 3 now"),
    ({}, {**IDENTITY, "data": {"sha256": "99"}}, "data.sha256 0123 there, 99 now"),
    ({}, {"model": {"hidden": 16}}, "data.sha256 0123 there, nothing now"),
    ({"steps": 50}, IDENTITY, "steps 40 there, 50 now (the cosine schedule is fitted"),
    ({"steps": None, "epochs": 3}, IDENTITY, "epochs None there, 3 now; steps 40 there, None now"),
]


@pytest.mark.parametrize(("values", "identity", "text"), DIFFERENT, ids=lambda v: str(v)[:40])
def test_another_configuration_is_refused(tmp_path, values, identity, text):
    run(tmp_path, 20)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        run(tmp_path, identity=identity, **values)
    assert text in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_has_no_effect_may_change(tmp_path, unbroken):
    run(tmp_path, 20)
    run(tmp_path, checkpoint_every=1.0, max_bad_steps=9, threads=1)
    assert left(tmp_path) == unbroken


def test_a_run_of_before_there_was_a_setting_goes_on_with_its_default(tmp_path):
    config = TrainConfig(steps=4)
    fit(SmallTask(tokens=300), tmp_path, config, report=False)
    recorded = json.loads((tmp_path / "config.json").read_text())
    del recorded["train"]["patience"]
    (tmp_path / "config.json").write_text(json.dumps(recorded))
    assert fit(SmallTask(tokens=300), tmp_path, config, report=False).steps == 4
    other = TrainConfig(steps=4, patience=3)
    with pytest.raises(InputError, match="patience None there, 3 now"):
        fit(SmallTask(tokens=300), tmp_path, other, report=False)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_a_schedule_that_knows_no_end_can_be_made_longer(tmp_path, schedule):
    run(tmp_path, schedule=schedule)
    assert run(tmp_path, schedule=schedule, steps=60).result.steps == 60
    with pytest.raises(InputError, match="only be made longer"):
        run(tmp_path, schedule=schedule, steps=50)


def test_fresh_starts_over(tmp_path, unbroken):
    run(tmp_path, 20, lr=0.5)
    again = run(tmp_path, fresh=True)
    assert again.resumed == 0
    assert left(tmp_path) == unbroken


FOREIGN = [
    {"thesis.tex": "mine"},
    {"config.json": json.dumps({"format": "recurra-model"})},
    {"config.json": "{}", "weights.bin": ""},
    {"checkpoints": ""},
]


@pytest.mark.parametrize("files", FOREIGN, ids=str)
@pytest.mark.parametrize("fresh", [True, False])
def test_a_directory_of_somebody_else_is_left_alone(tmp_path, files, fresh):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="choose another"):
        run(tmp_path, fresh=fresh)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == files


def test_a_file_is_no_place_for_a_run(tmp_path):
    path = tmp_path / "run"
    path.write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        run(path)
    assert path.read_text() == "mine"


def test_a_run_of_a_newer_version_is_refused(tmp_path):
    run(tmp_path, 20)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 99}))
    with pytest.raises(FormatError, match="newer version"):
        run(tmp_path)


def test_one_trainer_at_a_time(tmp_path):
    class Second(Stopper):
        def on_step(self, event):
            with pytest.raises(InputError, match="is being trained by process"):
                run(tmp_path)

    config = TrainConfig(**{**CONFIG, "steps": 2})
    fit(SmallTask(), tmp_path, config, callbacks=[Second(None)], report=False)


def test_another_model_is_refused(tmp_path):
    run(tmp_path, 20)
    config = TrainConfig(**CONFIG)
    with pytest.raises(FormatError, match=r"another model: embedding\.weight"):
        fit(SmallTask(hidden=8), tmp_path, config, identity=IDENTITY, report=False)
