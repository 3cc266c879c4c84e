"""The examples reach what docs/forecasting.md says of them. Minutes each: `make test-quality`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "forecast"


def run(script: str, *arguments: object) -> dict[str, float]:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2400, check=False)
    assert done.returncode == 0, done.stderr
    line = done.stdout.strip().splitlines()[-1]
    found = dict(re.findall(r"(sMAPE|MASE) ([\d.]+)", line))
    scaled = re.search(r"standardised ([\d.]+) ([\d.]+)", line)
    assert scaled is not None, line
    found |= {"mae": scaled[1], "mse": scaled[2]}
    return {name: float(value) for name, value in found.items()}


@pytest.mark.quality
@pytest.mark.timeout(2500)
def test_m4_hourly(data_dir, tmp_path):
    found = run("m4_hourly.py", "--data", data_dir / "m4-hourly", "--out", tmp_path / "run")
    assert found["sMAPE"] <= 10.0
    assert found["MASE"] <= 0.95


@pytest.mark.quality
@pytest.mark.timeout(2500)
def test_etth1(data_dir, tmp_path):
    found = run("etth1.py", "--data", data_dir / "etth1" / "ETTh1.csv", "--out", tmp_path / "run")
    assert found["mse"] <= 0.375
    assert found["mae"] <= 0.40
