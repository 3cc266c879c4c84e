"""The recurrent entries of PyTorch's own table of modules, run on our classes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.mark.peers
def test_every_recurrent_entry():
    pytest.importorskip("expecttest")  # torch's helpers import it
    script = Path(__file__).with_name("module_db.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env={"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert set(counts) == {"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"}
    assert all(count >= 8 for count in counts.values()), counts
