"""Checkpoints: the newest that verifies, whatever was killed, damaged or renamed."""

import os
import random
import shutil
import signal
import time

import numpy as np
import pytest

from recurra.errors import FormatError, InputError
from recurra.storage import (
    Checkpoints,
    NewerFormatError,
    RunLock,
    atomic_directory,
    remove_stale,
    write_manifest,
)

STATE = {"rng": np.random.PCG64(7).state, "cursor": 12, "best": None, "lr": 0.1}


def arrays(step):
    return {"w": np.full((40, 30), step, np.float32), "adam.step": np.array(step)}


def write(checkpoints, *steps):
    for step in steps:
        checkpoints.write(step, arrays(step), {**STATE, "step": step})


def assert_is(checkpoint, step):
    assert checkpoint is not None
    assert checkpoint.step == step
    assert checkpoint.state == {**STATE, "step": step}
    assert checkpoint.tensors.keys() == arrays(step).keys()
    for name, array in arrays(step).items():
        np.testing.assert_array_equal(checkpoint.tensors[name], array, strict=True)


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run" / "checkpoints")


def spoil(checkpoints, step, name="tensors.safetensors"):
    path = checkpoints.directory / f"step-{step}" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


def test_none_yet(checkpoints):
    assert checkpoints.latest() == (None, [])
    assert checkpoints.steps() == []
    assert not checkpoints.directory.exists()


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path, keep):
    checkpoints = Checkpoints(tmp_path, keep=keep)
    for n, step in enumerate([0, 1, 9, 10, 100]):
        write(checkpoints, step)
        assert checkpoints.steps() == [0, 1, 9, 10, 100][: n + 1][-keep:]
        found, skipped = checkpoints.latest()
        assert_is(found, step)
        assert skipped == []
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"step-{s}" for s in checkpoints.steps()
    )


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
def test_every_flipped_bit_is_found_and_the_one_before_taken(checkpoints, name):
    write(checkpoints, 1, 2)
    path = checkpoints.directory / "step-2" / name
    whole = path.read_bytes()
    rng = random.Random(name)
    for at in range(0, len(whole), max(1, len(whole) // 100)):
        data = bytearray(whole)
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            found, [message] = checkpoints.latest()
        except NewerFormatError:
            continue  # the flipped bit made a later version of the manifest's version
        assert_is(found, 1)
        assert message.startswith("checkpoint of step 2 skipped: ")
        assert name in message
        with pytest.raises(FormatError, match=name):
            checkpoints.latest(strict=True)
    path.write_bytes(whole)
    assert_is(checkpoints.latest()[0], 2)


@pytest.mark.parametrize("damage", ["no manifest", "no tensors", "empty", "renamed", "other kind"])
def test_incomplete_directories_are_skipped(checkpoints, damage):
    write(checkpoints, 4, 5)
    path = checkpoints.directory / "step-5"
    match damage:
        case "no manifest":
            (path / "manifest.json").unlink()
        case "no tensors":
            (path / "tensors.safetensors").unlink()
            write_manifest(path, kind="checkpoint", extra={"step": 5})
        case "empty":
            shutil.rmtree(path)
            path.mkdir()
        case "renamed":
            path.rename(checkpoints.directory / "step-6")
        case "other kind":
            write_manifest(path, kind="model", extra={"step": 5})
    found, skipped = checkpoints.latest()
    assert_is(found, 4)
    assert len(skipped) == 1


def test_all_damaged(checkpoints):
    write(checkpoints, 1, 2)
    spoil(checkpoints, 1)
    spoil(checkpoints, 2)
    found, skipped = checkpoints.latest()
    assert found is None
    assert [message.split(":")[0] for message in skipped] == [
        "checkpoint of step 2 skipped",
        "checkpoint of step 1 skipped",
    ]


@pytest.mark.parametrize("looked", [True, False], ids=["after latest", "at once"])
def test_training_on_from_before_a_damaged_one(tmp_path, looked):
    """A damaged one never counts as one of the two that stay, and goes once it is replaced."""
    write(Checkpoints(tmp_path), 10, 20)
    spoil(Checkpoints(tmp_path), 20)
    checkpoints = Checkpoints(tmp_path)
    if looked:
        checkpoints.latest()
    write(checkpoints, 15)
    assert checkpoints.steps() == [10, 15]
    write(checkpoints, 20)
    assert checkpoints.steps() == [15, 20]
    assert_is(checkpoints.latest()[0], 20)


def test_the_damaged_step_itself_is_written_again(checkpoints):
    write(checkpoints, 10, 20)
    spoil(checkpoints, 20, "manifest.json")
    checkpoints.latest()
    write(checkpoints, 20)
    assert checkpoints.steps() == [10, 20]
    assert_is(checkpoints.latest()[0], 20)


def test_a_later_whole_checkpoint_is_never_lost(checkpoints):
    write(checkpoints, 10, 20)
    with pytest.raises(InputError, match=r"step-20: is later than step 5"):
        write(checkpoints, 5)
    assert checkpoints.steps() == [10, 20]
    checkpoints.clear()
    assert checkpoints.steps() == []
    write(checkpoints, 5)
    assert_is(checkpoints.latest()[0], 5)


def test_a_newer_version_is_not_stepped_back_behind(checkpoints):
    write(checkpoints, 10, 20)
    path = checkpoints.directory / "step-20" / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(NewerFormatError, match="upgrade"):
        checkpoints.latest()
    with pytest.raises(InputError, match="is later than step 15"):
        write(checkpoints, 15)
    assert checkpoints.steps() == [10, 20]


def test_what_is_not_a_checkpoint_is_left_alone(checkpoints):
    others = ["step-", "step-x", "step-007", "step-1.old", "notes", "step--1"]
    for name in others:
        (checkpoints.directory / name).mkdir(parents=True)
    (checkpoints.directory / "step-99").write_text("a file")
    write(checkpoints, 1, 2, 3)
    checkpoints.clear()
    assert sorted(p.name for p in checkpoints.directory.iterdir()) == sorted([*others, "step-99"])


@pytest.mark.parametrize(
    ("step", "state", "words"),
    [
        (-1, {}, "counted from 0"),
        (3, {"loss": float("inf")}, r"loss: inf cannot be written as JSON"),
        (3, {"optimizer": {0: "sgd"}}, r"optimizer: the key 0 cannot be written as JSON"),
    ],
)
def test_what_cannot_be_written(checkpoints, step, state, words):
    write(checkpoints, 1, 2)
    with pytest.raises(InputError, match=words):
        checkpoints.write(step, arrays(3), state)
    assert sorted(p.name for p in checkpoints.directory.iterdir()) == ["step-1", "step-2"]
    with pytest.raises(InputError, match="keep: expected at least 1"):
        Checkpoints(checkpoints.directory, keep=0)


def test_a_checkpoint_that_cannot_be_written_costs_none(checkpoints, monkeypatch):
    write(checkpoints, 1, 2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="step-3: the disk is full"):
        write(checkpoints, 3)
    monkeypatch.undo()
    assert sorted(p.name for p in checkpoints.directory.iterdir()) == ["step-1", "step-2"]


def writing_child(directory, done):
    """Write step after step, telling each finished one into the pipe, until killed."""
    checkpoints = Checkpoints(directory)
    found, _ = checkpoints.latest()
    step = found.step if found else 0
    while True:
        step += 1
        write(checkpoints, step)
        os.write(done, step.to_bytes(8, "little"))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_60_times_while_writing(tmp_path):
    """After every kill the latest is the last finished one, or the one that was being written."""
    run, rng = tmp_path / "run", random.Random(0)
    checkpoints = Checkpoints(run / "checkpoints")
    last = left = 0
    for _ in range(60):
        reading, done = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                writing_child(checkpoints.directory, done)
            finally:
                os._exit(1)
        os.close(done)
        # After a finished write, somewhere in the time that the next one takes.
        started = time.monotonic()
        told = os.read(reading, 8)
        time.sleep(rng.uniform(0, min(time.monotonic() - started, 0.1)))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL  # and did not end by an error
        with os.fdopen(reading, "rb") as pipe:
            told += pipe.read()
        last = max(last, int.from_bytes(told[-8:], "little"))
        found, skipped = checkpoints.latest(strict=True)
        assert skipped == []
        assert found is not None
        assert found.step in (last, last + 1)
        assert_is(found, found.step)
        last = found.step
        for step in checkpoints.steps():  # also those that were being dropped
            assert_is(checkpoints.read(step), step)
        with RunLock(run) as lock:
            left += len(remove_stale(checkpoints.directory, lock))
        assert all(p.name.startswith("step-") for p in checkpoints.directory.glob("*"))
    write(checkpoints, last + 1)
    assert checkpoints.steps() == [last, last + 1]
    assert left > 20  # kills did hit the writing itself


def test_a_checkpoint_is_an_atomic_directory(checkpoints):
    """The manifest says what it is, for other programs that look."""
    write(checkpoints, 3)
    with (
        pytest.raises(InputError, match="is being written"),
        atomic_directory(checkpoints.directory / "step-4", kind="checkpoint"),
    ):
        write(checkpoints, 4)
