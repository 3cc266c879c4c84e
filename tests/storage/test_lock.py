"""The run lock, with real processes: killed, forked, and replaced by another program."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from recurra.errors import InputError
from recurra.storage import RunLock

HOLD = """
import sys, time
from recurra.storage import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path/run`."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, env=env
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_trainer_is_told_who_trains(tmp_path, holder):
    lock = RunLock(tmp_path / "run")
    with pytest.raises(InputError) as caught:
        lock.acquire()
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path / 'run'}: is being trained by process {holder.pid} on {os.uname().nodename} "
        f"since {time.strftime('%Y-')}"
    )
    assert message.endswith("; stop it or choose another --out")
    assert not lock.held


def test_a_killed_trainer_leaves_no_lock(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with RunLock(tmp_path / "run") as lock:
        assert lock.held
        assert json.loads((tmp_path / "run" / "lock").read_text())["pid"] == os.getpid()


def test_take_and_give_back(tmp_path):
    lock = RunLock(tmp_path / "a" / "run")
    for _ in range(2):
        assert not lock.held
        with lock:
            assert lock.held
            with pytest.raises(InputError, match="held already"):
                lock.acquire()
            with pytest.raises(InputError, match=f"by process {os.getpid()}"):
                RunLock(tmp_path / "a" / "run").acquire()
        lock.release()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_neither_keeps_nor_frees_the_lock(tmp_path):
    lock = RunLock(tmp_path / "run")
    ready, wake = os.pipe(), os.pipe()
    lock.acquire()
    pid = os.fork()
    if pid == 0:
        held = b"1" if lock.held else b"0"
        lock.release()  # as leaving a `with` in the child would
        os.write(ready[1], held)
        os.read(wake[0], 1)
        os._exit(0)
    try:
        assert os.read(ready[0], 1) == b"0"
        with pytest.raises(InputError, match="is being trained"):
            RunLock(tmp_path / "run").acquire()
        lock.release()
        with RunLock(tmp_path / "run"):  # while the child still lives
            pass
    finally:
        os.write(wake[1], b"x")
        os.waitpid(pid, 0)
        for end in (*ready, *wake):
            os.close(end)


def test_a_started_program_does_not_inherit_the_lock(tmp_path):
    lock = RunLock(tmp_path / "run")
    lock.acquire()
    process = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        lock.release()
        with RunLock(tmp_path / "run"):
            pass
    finally:
        process.kill()
        process.wait()


def test_no_place_for_a_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^" + str(tmp_path / "file")):
        RunLock(tmp_path / "file").acquire()
    (tmp_path / "run" / "lock").mkdir(parents=True)
    with pytest.raises(InputError, match="is a directory"):
        RunLock(tmp_path / "run").acquire()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_torn_message_is_no_obstacle(tmp_path, text):
    with RunLock(tmp_path):
        (tmp_path / "lock").write_text(text)
        with pytest.raises(InputError, match="is being trained by another process;"):
            RunLock(tmp_path).acquire()
