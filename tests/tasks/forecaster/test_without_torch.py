"""A trained forecaster predicts, streams and is measured where torch is not installed."""

import subprocess
import sys

import numpy as np
import pytest

import recurra

RUN = """
import sys
sys.modules.update(dict.fromkeys(["torch", "rich", "matplotlib", "statsmodels", "scipy"]))
import numpy as np
import recurra
model = recurra.load(sys.argv[1])
values = np.loadtxt(sys.argv[2])
print(model.predict({"0": values}, levels=(0.1, 0.5))[0].quantiles.sum())
print(model.evaluate({"0": values}).mae)
stream = model.stream({"0": values[:-1]})
stream.append(values[-1])
print(stream.forecast().median.sum())
"""


@pytest.mark.parametrize("mode", ["direct", "autoregressive"])
def test_load_predict_evaluate_stream(mode, tmp_path):
    values = np.sin(np.arange(120) / 4) + 3
    model = recurra.Forecaster(
        horizon=6, lookback=12, hidden=8, embedding=8, normalise="none", mode=mode,
        output="student_t",
    )  # fmt: skip
    model.fit(values, steps=3, progress=False, threads=1)
    model.save(tmp_path / "model")
    np.savetxt(tmp_path / "values.txt", values)
    command = [sys.executable, "-W", "error", "-c", RUN]
    done = subprocess.run(
        [*command, str(tmp_path / "model"), str(tmp_path / "values.txt")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [float(line) for line in done.stdout.split()]
    stream = model.stream({"0": values[:-1]})
    stream.append(values[-1])
    expected = [
        model.predict({"0": values}, levels=(0.1, 0.5))[0].quantiles.sum(),
        model.evaluate({"0": values}).mae,
        stream.forecast().median.sum(),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
