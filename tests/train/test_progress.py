import io
import math
import re
from pathlib import Path

import pytest

from recurra.train import Plan, Progress, Start, StepDone, TrainConfig, Validation, fit
from recurra.train import progress as module
from train.small import SmallTask

PLAN = Plan(steps=1000, epoch=100, eval_every=100, log_every=2, world=1, device="cpu")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def step(number, loss=2.0, *, skipped=False):
    return StepDone(number, number / 100, loss, 0.001, 1.0, number * 50, number * 0.1, skipped)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines(clock):
    stream = io.StringIO()
    shown = Progress(stream)
    shown.on_start(Start(Path("runs/x"), PLAN, 0, 0.0, 12345, ("a note",)))
    for number in range(1, 301):
        clock[0] = 100 + number * 0.1
        shown.on_step(step(number, math.nan if number == 150 else 2.0, skipped=number == 150))
        if number == 120:
            shown.on_validation(Validation(120, 1.2, {"loss": 1.5, "perplexity": 4.48}, True, 0.1))
    shown.on_end(None)
    assert stream.getvalue().splitlines() == [
        "a note",
        "runs/x: 1,000 steps (10 epochs), 12,345 parameters, cpu",
        "step 100/1000  epoch 1.00  loss 2.0000  500 tokens/s  1:30 left",
        "step 120/1000  epoch 1.20  loss 2.0000  valid 1.5000  perplexity 4.48  best",
        "step 220/1000  epoch 2.20  loss 2.0000  500 tokens/s  1:18 left  skipped 1  valid 1.5000",
    ]


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    shown = Progress(stream)
    assert shown.live
    shown.on_start(Start(Path("runs/x"), PLAN, 400, 4.0, 12345))
    shown._shown = -1.0
    shown.on_step(step(401))
    shown.on_validation(Validation(401, 4.01, {"loss": 1.5}, True, 0.1))
    shown._shown = -1.0
    shown.on_step(step(500))
    shown.on_end(None)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "resumed after step 400" in text
    assert "500/1000" in text
    assert "50%" in text
    assert "loss 2.000" in text
    assert "500 tokens/s" in text
    assert "50 s left" in text


def test_a_terminal_without_rich_gets_lines(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert not Progress(Terminal()).live


@pytest.mark.parametrize("live", [True, False])
def test_a_run_from_its_beginning_to_its_end(tmp_path, live):
    stream = Terminal()
    config = TrainConfig(steps=20, eval_every=10)
    fit(SmallTask(), tmp_path, config, callbacks=[Progress(stream, live=live)], report=False)
    assert "20 steps, 0.69 epochs in " in stream.getvalue()
    assert "best valid" in stream.getvalue()
    assert ("step 10/20" in stream.getvalue()) is not live
