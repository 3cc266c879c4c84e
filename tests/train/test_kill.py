import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

#: What kills, and how many times: small steps of a toy, and the six tasks (`make kills` for more).
RUNNERS = [("kill_runs.py", 50), ("kill_tasks.py", 6)]


@pytest.mark.parametrize(("runner", "kills"), RUNNERS)
def test_runs_killed_at_any_moment_end_with_the_bytes_of_an_unbroken_one(tmp_path, runner, kills):
    paths = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(runner)), str(tmp_path), str(kills)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["killed"] >= kills
