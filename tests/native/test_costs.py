"""How many threads a call has: by its work, and by what threads cost on the machine."""

import json
import os
import subprocess
import sys

import pytest

from recurra import native

pytestmark = pytest.mark.skipif(not native.available(), reason="not run: no kernels here")

#: ns a cycle, us a meeting, us to wake, gain of a second thread.
CALM = (0.35, 0.25, 40.0, 2.0)
SLOW_MEETINGS = (0.35, 5.0, 40.0, 2.0)
SLOW_WAKING = (0.35, 0.25, 2000.0, 2.0)
CROWDED = (0.35, 0.25, 40.0, 1.1)
SLOW_CORES = (1.4, 0.25, 40.0, 2.0)


def lstm(batch, hidden):
    """Multiplications of a step, and the elements of a state."""
    return batch * 8.0 * hidden * hidden, float(batch * hidden)


#: Costs, rows, steps, units, whether each thread has rows of its own, processors; then the threads,
#: and whether the call is brief.
TABLE = [
    (CALM, 1, 1, 16, False, 2, 1, True),
    (CALM, 1, 1, 64, False, 2, 1, True),
    (CALM, 1, 100, 64, False, 2, 2, True),
    (CALM, 1, 100, 64, False, 8, 2, True),
    (CALM, 1, 100, 512, False, 2, 2, False),
    (CALM, 1, 100, 512, False, 8, 8, False),
    (CALM, 64, 128, 512, True, 8, 8, False),
    (CALM, 64, 128, 512, True, 1, 1, False),
    (CALM, 16, 8, 32, True, 2, 1, True),
    (CALM, 32, 10, 64, True, 2, 2, True),
    (SLOW_MEETINGS, 1, 100, 64, False, 2, 1, True),
    (SLOW_MEETINGS, 1, 100, 512, False, 16, 9, False),
    (SLOW_MEETINGS, 32, 10, 64, True, 2, 2, True),
    (SLOW_WAKING, 1, 100, 64, False, 2, 1, True),
    (SLOW_WAKING, 32, 10, 64, True, 2, 1, True),
    (SLOW_WAKING, 64, 128, 512, True, 8, 8, False),
    (SLOW_CORES, 16, 8, 32, True, 2, 2, True),
    (CROWDED, 1, 100, 64, False, 2, 1, True),
    (CROWDED, 64, 128, 512, True, 8, 1, True),
]


@pytest.mark.parametrize(
    ("costs", "batch", "steps", "hidden", "by_rows", "processors", "threads", "brief"), TABLE
)
def test_the_choice(costs, batch, steps, hidden, by_rows, processors, threads, brief):
    products, states = lstm(batch, hidden)
    chosen = native.library.compiled().choose_threads(
        costs, products, 32, batch == 1, 1, states, by_rows, steps, processors
    )
    assert chosen == (threads, brief)


@pytest.mark.parametrize(
    ("most", "products", "expected"), [(1, 1e12, 1), (2, 0, 1), (2, 1e3, 1), (8, 1e5, 1)]
)
def test_small_work_is_for_one_whatever_threads_cost(most, products, expected):
    assert native.at_most(most, products) == expected


def test_costs_are_in_bounds():
    found = native.costs()
    assert 0.1 < found.cycle < 3
    assert 40 <= found.waking <= 400
    assert found.meeting > 0
    assert native.choice_of_threads().count("\n") == 0


PROGRAM = """
import hashlib, json, sys
import torch
from recurra import native, nn
torch.manual_seed(0)
found = {}
for count in json.loads(sys.argv[1]):
    if count:
        torch.set_num_threads(count)
    torch.manual_seed(1)
    layers = nn.LSTM(64, 64), nn.GRU(256, 256), nn.RNN(128, 128)
    digests = []
    for layer in layers:
        size = layer.input_size
        x = torch.randn(30, 16, size, requires_grad=True)
        y, _ = layer(x)
        y.square().sum().backward()
        made = [y.detach(), x.grad, *(p.grad for p in layer.parameters())]
        digests += [hashlib.sha256(t.numpy().tobytes()).hexdigest() for t in made]
    found[count] = [digests, native.at_most(count or torch.get_num_threads(), 1e12)]
same = all(v[0] == found[1][0] for v in found.values())
print(json.dumps([same, {k: v[1] for k, v in found.items()}]))
"""


@pytest.mark.parametrize("variable", [None, "1", "3"])
def test_what_the_user_sets_is_an_upper_bound_and_changes_no_byte(variable):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    if variable:
        environment["OMP_NUM_THREADS"] = variable
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "[0, 1, 2, 5]"],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same, counts = json.loads(done.stdout)
    assert same
    assert counts["1"] == 1
    assert counts["2"] <= 2
    assert counts["5"] <= 5
    if variable == "1":
        assert counts["0"] == 1
