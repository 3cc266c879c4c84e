import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

RUNNER = Path(__file__).with_name("kill_runs.py")


def test_runs_killed_at_any_moment_end_with_the_bytes_of_an_unbroken_one(tmp_path):
    paths = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(tmp_path), "50"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["killed"] >= 50
