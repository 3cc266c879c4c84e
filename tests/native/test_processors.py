"""How many threads: OMP_NUM_THREADS, affinity, quotas of control groups."""

import json
import os
import re
import subprocess
import sys

import pytest

from recurra import native
from recurra.native import processors

NUMBER = "expected a number of threads from 1 to 256"


@pytest.mark.parametrize(
    ("environment", "count", "line"),
    [
        (None, 4, None),
        ("", 4, None),
        ("  ", 4, None),
        ("1", 1, None),
        ("3", 3, None),
        ("+3", 3, None),
        ("007", 7, None),
        ("8,4,2", 8, None),
        (" 2 ", 2, None),
        ("256", 256, None),
        ("257", 4, NUMBER),
        ("100000", 4, NUMBER),
        (str(10**20), 4, NUMBER),
        ("9" * 5000, 4, NUMBER),
        ("0", 4, NUMBER),
        ("-1", 4, NUMBER),
        ("two", 4, NUMBER),
        ("2.5", 4, NUMBER),
        ("٣", 4, NUMBER),
    ],
)
def test_omp_num_threads(environment, count, line):
    found, told = processors.asked(environment, 4)
    assert found == count
    assert (told is None) if line is None else (line in told and "\n" not in told)
    assert told is None or len(told) < 200


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "damaged"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1 0"}, None),
        (  # the group above has less
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/x\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        (  # a path that leads elsewhere
            {"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
            1,
        ),
    ],
)
def test_quota(tmp_path, files, expected):
    write(tmp_path, files)
    assert processors.quota(tmp_path) == expected
    assert processors.allowed(tmp_path) == min(processors.bound(), expected or 256)


def run(code, **environment):
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")
@pytest.mark.parametrize("value", ["100000", str(10**20), "none"])
def test_a_model_runs_all_the_same(value):
    done = run(
        """
import json, sys
sys.modules["torch"] = None
import numpy as np
from recurra import native
from recurra.cells import definition
from recurra.runtime.layer import KernelLayer
program, draw = definition.find("lstm").program(), np.random.default_rng(0)
sizes = dict(gates=4, inputs=64, hidden=64)
weights = {p.name: draw.normal(size=p.shape(**sizes)).astype("f") for p in program.parameters}
layer = KernelLayer(program, weights, ())
states = (np.zeros((1, 64), "f"),) * 2
y, _ = layer.run(draw.normal(size=(50, 1, 64)).astype("f"), states, None)
print(json.dumps([bool(np.isfinite(y).all()), native.threads()]))
""",
        OMP_NUM_THREADS=value,
    )
    good, count = json.loads(done.stdout)
    assert good
    assert count == processors.allowed()
    lines = [line for line in done.stderr.splitlines() if "OMP_NUM_THREADS" in line]
    assert len(lines) == 1, done.stderr
    assert NUMBER in lines[0]


@pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process")
def test_one_processor_takes_two_threads_no_longer_than_one():
    """Without taking over, each of the steps waits until the system runs the other thread."""
    done = run(
        """
import json, os, statistics, sys, time
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
import numpy as np
from recurra import native
from recurra.cells import definition
program, draw = definition.find("lstm").program(), np.random.default_rng(0)
sizes = dict(gates=4, inputs=64, hidden=64)
weights = [draw.normal(size=p.shape(**sizes)).astype("f") for p in program.parameters]
x, y = draw.normal(size=(100, 1, 64)).astype("f"), np.empty((100, 1, 64), "f")
found = {}
for round in range(5):
    for threads in (1, 2, -2):
        inputs = native.Inputs(program, x, weights, [None, None], threads=threads)
        times = []
        for _ in range(60):
            begin = time.perf_counter()
            native.forward(inputs, y, [None, None])
            times.append(time.perf_counter() - begin)
        found.setdefault(threads, []).append(statistics.median(times))
print(json.dumps([min(found[2]) / min(found[1]), min(found[-2]) / min(found[1])]))
""",
        OMP_NUM_THREADS="2",
    )
    assert done.returncode == 0, done.stderr
    assert max(json.loads(done.stdout)) < 2


def test_doctor_says_why(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS='3'" in processors.why()
    monkeypatch.setenv("OMP_NUM_THREADS", "0")
    assert NUMBER in processors.why()
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert processors.why().startswith(
        f"{processors.allowed()}: bound to {processors.bound()} processor"
    )


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        (
            native.Costs(0.3, 0.3, 40, 1.9, True),
            "waking up to 40 us, and two are 1.9 times as fast",
        ),
        (native.Costs(0.3, 9.0, 400, 1.1, True), "Calls use one at present: .* 1.1 times as fast"),
        (native.Costs(0.3, 0.3, 40, 2.0, False), "one where there is no second processor"),
        (None, "No kernels"),
    ],
)
def test_doctor_says_what_threads_cost(costs, words, monkeypatch):
    monkeypatch.setattr(native.library, "costs", lambda: costs)
    assert re.search(words, native.choice_of_threads())
