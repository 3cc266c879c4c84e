import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from conftest import ROOT
from recurra.storage import Checkpoints, RunLock
from recurra.train import Interrupted, Progress, TrainConfig, fit, read_metrics
from recurra.train.interrupt import Abandoned, Signals
from train.kill_runs import left
from train.small import SmallTask

RUNNER = Path(__file__).with_name("interrupt_run.py")
PATHS = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, str(RUNNER), *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_ctrl_c_ends_a_process_after_its_step(tmp_path):
    with start(tmp_path) as process:
        wait_for((tmp_path / "metrics.jsonl").exists)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == ""
    assert "checkpoint written: run the same again" in out
    checkpoint, skipped = Checkpoints(tmp_path / "checkpoints").latest()
    assert checkpoint.step > 0
    assert f"after step {checkpoint.step} of" in out
    assert skipped == []


class Endless(SmallTask):
    """Its validation takes for ever, unless it is left."""

    def validate(self):
        torch.rand(5)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(600)


def test_a_signal_leaves_a_validation_which_is_made_up_for(tmp_path):
    config = TrainConfig(steps=40, eval_every=20, threads=1)
    with pytest.raises(Interrupted):
        fit(Endless(), tmp_path / "run", config, report=False)
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps()[-1] == 20
    for path in (tmp_path / "run", tmp_path / "unbroken"):
        fit(SmallTask(), path, config, report=False)
    assert left(tmp_path / "run") == left(tmp_path / "unbroken")
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[19]["valid_loss"] > 0


class Sender:
    """Sends this process signals after a step."""

    def __init__(self, step, *numbers):
        self.step, self.numbers = step, numbers

    def on_start(self, event):
        pass

    def on_step(self, event):
        if event.step == self.step:
            for number in self.numbers:
                os.kill(os.getpid(), number)

    def on_validation(self, event):
        pass

    def on_end(self, result):
        assert result is None


@pytest.fixture(autouse=True)
def a_terminal_that_may_close():
    """SIGHUP as a terminal has it, also where whoever runs the tests ignores it (`nohup`)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("bad", [False, True])
def test_the_step_is_finished_and_the_handlers_are_put_back(tmp_path, number, code, bad):
    before = signal.getsignal(number)
    task, config = SmallTask(poison=[7] if bad else []), TrainConfig(steps=50)
    with pytest.raises(Interrupted) as caught:
        fit(task, tmp_path, config, callbacks=[Sender(7, number)], report=False)
    assert caught.value.exit_code == code
    step = Checkpoints(tmp_path / "checkpoints").steps()[-1]
    assert step in (7, 8)
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert [record["step"] for record in records] == list(range(1, step + 1))
    assert records[6]["skipped"] == bad
    assert signal.getsignal(number) is before
    with RunLock(tmp_path):
        pass


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGINT, KeyboardInterrupt),
        (signal.SIGTERM, SystemExit),
        (signal.SIGHUP, SystemExit),
    ],
)
def test_the_second_signal_ends_at_once(tmp_path, number, error):
    sender = Sender(7, number, number)
    with pytest.raises(error):
        fit(SmallTask(), tmp_path, TrainConfig(steps=50), callbacks=[sender], report=False)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [0]
    with RunLock(tmp_path):
        pass


def test_a_closed_terminal_ends_nothing_that_nohup_protects(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        sender = Sender(7, signal.SIGHUP)
        sender.on_end = lambda result: None
        done = fit(SmallTask(), tmp_path, TrainConfig(steps=9), callbacks=[sender], report=False)
        assert done.steps == 9
    finally:
        signal.signal(signal.SIGHUP, before)


class Gone(io.StringIO):
    """A terminal that closes after some lines."""

    lines = 0

    def write(self, text):
        self.lines += 1
        if self.lines > 2:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def test_a_run_goes_on_where_nobody_reads_its_progress(tmp_path):
    shown = Progress(Gone(), live=False)
    done = fit(SmallTask(), tmp_path, TrainConfig(steps=9), callbacks=[shown], report=False)
    assert done.steps == 9


def test_work_that_can_be_left_is_left_once():
    def be_told():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    signals = Signals()
    with signals.listen():
        with pytest.raises(Abandoned), signals.abandonable():
            be_told()
        assert signals.received == signal.SIGTERM
        with pytest.raises(Abandoned), signals.abandonable():
            raise AssertionError("a signal that came before the work must keep it from starting")


def test_another_thread_trains_without_signals(tmp_path):
    done = []

    def work():
        done.append(fit(SmallTask(), tmp_path, TrainConfig(steps=3), report=False).steps)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [3]
