"""Training that is stopped, in good order or not, ends as training that was not."""

import json
import os
import signal
import time

import pytest

from cli.conftest import SMALL, start

WORDS = [*SMALL, "--dropout", "0.3", "--epochs", "2", "--eval-every", "60", "--layers", "2"]
WORDS += ["--checkpoint-every", "0.1"]


def train(text, out):
    return start("train", "lm", text, "--out", out, *WORDS)


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def wait_for_step(run, least):
    """Until a checkpoint of a later step than `least` is written."""
    folder, until = run / "checkpoints", time.monotonic() + 60
    while time.monotonic() < until:
        names = [p.name for p in folder.glob("step-*")] if folder.is_dir() else []
        if any(int(name.removeprefix("step-")) > least for name in names if name[5:].isdigit()):
            return
        time.sleep(0.01)
    raise AssertionError("no checkpoint within a minute")


def model(run):
    names = ("model.safetensors", "config.json", "tokenizer.json", "README.md")
    return {name: (run / "best" / name).read_bytes() for name in names}


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["train_loss"], line.get("valid_loss")) for line in lines]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, text):
    run = tmp_path_factory.mktemp("unbroken") / "run"
    with train(text, run) as process:
        finish(process)
    return run


def test_ctrl_c_writes_a_checkpoint_and_the_same_command_goes_on(text, tmp_path, unbroken):
    run = tmp_path / "run"
    with train(text, run) as process:
        wait_for_step(run, 20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith(f"recurra: {run}: stopped")
    assert "checkpoint written" in last
    assert "Traceback" not in err
    assert "error" not in err
    with train(text, run) as process:
        finish(process)
    assert model(run) == model(unbroken)
    assert losses(run) == losses(unbroken)


def test_kill_9_loses_a_moment_at_most(text, tmp_path, unbroken):
    run = tmp_path / "run"
    with train(text, run) as process:
        wait_for_step(run, 50)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with train(text, run) as process:
        finish(process)
    assert model(run) == model(unbroken)
    assert losses(run) == losses(unbroken)


def test_sigterm_is_143(text, tmp_path):
    run = tmp_path / "run"
    with train(text, run) as process:
        wait_for_step(run, 0)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err


def test_ctrl_c_while_it_writes(run):
    with start("generate", run, "the", "--max-tokens", 1000000) as process:
        assert process.stdout.read(10).startswith("the")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
