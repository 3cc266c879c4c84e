"""Two processes on one machine: as one, killed, told to stop, and when one of them fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from recurra.storage import Checkpoints
from recurra.train import read_metrics

RUNNER = Path(__file__).with_name("rank_runs.py")
PATHS = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": PATHS,
    "GLOO_SOCKET_IFNAME": "lo",  # nothing here may be reached from outside
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def scenes(folder):
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(folder)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return json.loads(done.stdout)


def assert_same_losses(run, other):
    ours, theirs = read_metrics(run / "metrics.jsonl"), read_metrics(other / "metrics.jsonl")
    assert len(ours) == len(theirs) == 60
    for a, b in zip(ours, theirs, strict=True):
        for key in ("step", "train_loss", "valid_loss", "grad_norm", "lr", "tokens"):
            assert a.get(key) == pytest.approx(b.get(key), abs=1e-5), (a["step"], key)


def test_two_processes_find_the_losses_of_one(folder, scenes):
    codes, errors = scenes["equal"]
    assert (codes, errors) == ([0, 0], [])
    assert_same_losses(folder / "two", folder / "alone")


def test_torchrun_finds_the_losses_of_one(folder, scenes):
    words = ["--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
    words += ["--local-addr=127.0.0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, str(RUNNER), folder, "torchrun"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_same_losses(folder / "torchrun", folder / "alone")


def test_two_processes_that_are_killed_end_as_if_they_were_not(scenes):
    found, errors = scenes["killed"]
    assert errors == []
    assert found["same"]
    assert found["kills"] >= 1


def test_another_number_of_processes_does_not_go_on(scenes):
    codes, (error,) = scenes["other_world"]
    assert codes == [1]
    assert error.startswith("RecurraError InputError")
    assert "processes 2 there, 1 now" in error


def test_a_signal_to_one_process_ends_both_in_good_order(folder, scenes):
    codes, errors = scenes["interrupted"]
    assert (codes, errors) == ([130, 130], [])
    checkpoint, skipped = Checkpoints(folder / "interrupted" / "checkpoints").latest()
    assert checkpoint.step > 0
    assert skipped == []


def test_when_one_process_fails_the_other_ends_too(scenes):
    codes, errors = scenes["broken"]
    assert codes == [1, 1]
    assert errors[0].startswith("RecurraError RankError: another process of this run has ended")
    assert errors[1] == "other ZeroDivisionError: as planned"


def test_what_the_first_process_refuses_ends_both(scenes):
    codes, errors = scenes["refused"]
    assert codes == [1, 1]
    assert errors[0].startswith("RecurraError InputError")
    assert errors[1].startswith("RecurraError RankError: rank 0 could not go on: InputError")
    assert all("thesis.tex" in error for error in errors)


def test_a_loss_that_is_not_finite_on_one_process_is_skipped_by_both(folder, scenes):
    codes, errors = scenes["poisoned"]
    assert (codes, errors) == ([0, 0], [])
    skipped = [
        r["step"] for r in read_metrics(folder / "poisoned" / "metrics.jsonl") if r["skipped"]
    ]
    assert skipped == [7]
