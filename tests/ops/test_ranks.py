"""The operator under DistributedDataParallel: two processes on one machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from ops.rank_gradients import ROWS
from recurra import native

RUNNER = Path(__file__).with_name("rank_gradients.py")


@pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")
def test_two_processes_have_the_gradients_of_one(tmp_path):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("src", "tests")),
        "GLOO_SOCKET_IFNAME": "lo",  # nothing here may be reached from outside
    }
    command = [sys.executable, str(RUNNER), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(row) for row in ROWS]
