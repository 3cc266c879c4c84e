"""The example of words against n-grams runs, on a slice."""

import json
import subprocess
import sys

import pytest

from conftest import ROOT


def test_it_runs_on_a_slice(data_dir):
    script = ROOT / "examples" / "lm" / "beat_ngrams.py"
    command = [sys.executable, script, "king-james", data_dir, "--share", "0.04", "--epochs", "2"]
    command += ["--hidden", "32", "--threads", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["Kneser-Ney 5-gram", "LSTM", "both"]
    assert found["Kneser-Ney 5-gram"] == pytest.approx(99.4, abs=0.06)
    assert found["both"] < found["Kneser-Ney 5-gram"]
    assert found["LSTM"] < 400  # of 2,700 words
