"""Keras' own tests of its recurrent layers, from its wheel, with ours in place of Keras'."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

TESTS = Path(keras.__file__).parent / "src" / "layers" / "rnn"


@pytest.mark.peers
@pytest.mark.timeout(600)
def test_keras_own_tests_pass(tmp_path):
    files = sorted(map(str, TESTS.glob("*_test.py")))
    assert len(files) == 12
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "ours_for_keras", "-p", "no:cacheprovider", "--disable-warnings", *files]
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    # Those skipped want a GPU.
    assert re.search(r"^76 passed, 3 skipped", done.stdout, re.MULTILINE), done.stdout
    calls = dict(re.findall(r"(rnn|lstm|gru) (\d+)", done.stdout.split("calls of ours:")[1]))
    assert {kind: int(n) > 50 for kind, n in calls.items()} == dict.fromkeys(calls, True)
    assert calls.keys() == {"rnn", "lstm", "gru"}
