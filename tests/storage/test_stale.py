"""What dead processes left behind: removed or put back, and only under the run's lock."""

import os
import subprocess
import sys

import pytest

from recurra.errors import InputError
from recurra.storage import RunLock, atomic_directory, disk, remove_stale, verify_manifest


def fill(target, value):
    with atomic_directory(target, kind="test") as folder:
        (folder / "a.txt").write_text(value)


def content(target):
    verify_manifest(target, kind="test")
    return (target / "a.txt").read_text()


def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_stale_temporaries(tmp_path):
    """Only what a dead process left unfinished goes; what looks similar stays."""
    dead, token = dead_pid(), "0123abcd"
    stale = [f".m.tmp-{dead}-{token}", f".x.json.tmp-{dead}-{token}"]
    stale.append(f".m.tmp-{os.getpid()}-{token}")  # of an earlier process with our number
    kept = [
        disk.temporary_beside(tmp_path / "m").name,
        f".m.tmp-1-{token}",
        f"m.tmp-{dead}-{token}",
        f".m.tmp-{dead}",
        f".m.tmp-{dead}-{token}.txt",
        f".m.tmp-x{dead}-{token}",
        "step-3",
        "lock",
    ]
    for name in (*stale, *kept):
        if ".json" in name or name == "lock":
            (tmp_path / name).write_text("")
        else:
            (tmp_path / name / "sub").mkdir(parents=True)
            (tmp_path / name / "sub" / "file").write_text("")
    with RunLock(tmp_path) as lock:
        messages = remove_stale(tmp_path, lock)
        assert remove_stale(tmp_path / "missing", lock) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)
    assert sorted(m.split(": removed")[0] for m in messages) == sorted(
        str(tmp_path / name) for name in stale
    )


def test_cleaning_needs_the_lock_of_the_run(tmp_path):
    left = tmp_path / "run" / f".m.tmp-{dead_pid()}-0123abcd"
    left.mkdir(parents=True)
    lock = RunLock(tmp_path / "run")
    with pytest.raises(InputError, match="only the holder"):
        remove_stale(tmp_path / "run", lock)
    with RunLock(tmp_path / "other") as other, pytest.raises(InputError, match="only the holder"):
        remove_stale(tmp_path / "run", other)
    assert left.exists()


KILLED_BETWEEN = """
import json, os, sys
from pathlib import Path
from recurra.storage import atomic_directory, disk
disk.exchange = lambda a, b: False
renames, real, limit = 0, os.rename, int(sys.argv[2])
def rename(a, b):
    global renames
    if renames == limit:
        os._exit(9)
    renames += 1
    real(a, b)
with atomic_directory(sys.argv[1], kind="test") as folder:
    (folder / "a.txt").write_text("new")
    os.rename = rename
    if limit == 2:
        disk.remove_tree = lambda path: os._exit(9)
"""


@pytest.mark.parametrize(
    ("renames", "value", "words"),
    [(0, "old", "left unfinished"), (1, "old", "put back as m"), (2, "new", "m has replaced it")],
)
def test_killed_between_two_renames(tmp_path, renames, value, words):
    """Where names cannot be exchanged, the older directory waits and is put back."""
    fill(tmp_path / "m", "old")
    script = [sys.executable, "-c", KILLED_BETWEEN, str(tmp_path / "m"), str(renames)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(script, env=env, check=False).returncode == 9
    with RunLock(tmp_path) as lock:
        messages = remove_stale(tmp_path, lock)
    assert any(words in message for message in messages)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lock", "m"]
    assert content(tmp_path / "m") == value


def test_the_older_one_is_kept_while_the_newer_is_damaged(tmp_path):
    fill(tmp_path / "m", "new")
    fill(tmp_path / "o", "old")
    (tmp_path / "o").rename(tmp_path / f".m.old-{dead_pid()}")
    (tmp_path / "m" / "a.txt").write_text("NEW")
    with RunLock(tmp_path) as lock:
        [message] = remove_stale(tmp_path, lock)
    assert "kept, because what replaced it is damaged" in message
