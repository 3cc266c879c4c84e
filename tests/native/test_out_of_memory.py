"""Where the system has no memory left a call raises MemoryError, and the process goes on."""

import os
import subprocess
import sys

import pytest

from recurra import native

resource = pytest.importorskip("resource")
pytestmark = [
    pytest.mark.skipif(not native.available(), reason="the kernels are not compiled"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to the limit"),
    pytest.mark.skipif(
        "libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer takes all addresses"
    ),
]

#: Prints, for each headroom, "MemoryError" or "done"; and in the end whether all is as before.
CODE = """
import resource, sys
sys.path[:0] = {path!r}
import numpy as np
if {torch}: import torch, recurra.ops
from recurra import native
from recurra.cells import definition
program, draw = definition.find("lstm").program(), np.random.default_rng(0)

def layer(steps, batch, hidden, threads):
    sizes = dict(gates=4, inputs=hidden, hidden=hidden)
    weights = [draw.normal(size=p.shape(**sizes)).astype("f") for p in program.parameters]
    x = draw.normal(size=(steps, batch, hidden)).astype("f")
    given = native.Inputs(program, x, weights, [None, None], threads=threads)
    y, saved = np.zeros_like(x), np.zeros(native.saved_size(given), "f")
    gradients = [np.zeros_like(p) for p in weights]
    def forward():
        native.forward(given, y, [None, None], saved=saved)
        return y.copy()
    def backward():
        for g in gradients: g[:] = 0
        native.backward(given, y, saved, y, [None, None], dx=None, dparameters=gradients,
                        dinitial=[None, None])
        return gradients[1].copy()
    return forward, backward

def loss(rows, features, tokens, threads):
    given = native.LossInputs(
        draw.normal(size=(rows, features)).astype("f"),
        draw.normal(size=(tokens, features)).astype("f"),
        None, np.zeros(rows, np.int64), threads=threads)
    losses, spread = np.zeros(rows, "f"), np.zeros((rows, 2), "f")
    dweight = np.zeros((tokens, features), "f")
    def forward():
        native.loss_forward(given, losses, spread)
        return losses.copy()
    def backward():
        native.loss_backward(given, spread, losses, dx=None, dweight=dweight, dbias=None)
        return dweight.copy()
    return forward, backward

def update(size, threads):
    weight, gradient = np.zeros(size, "f"), draw.normal(size=size).astype("f")
    def step():
        weight[:] = 0
        moments = np.zeros(size, "f"), np.zeros(size, "f"), np.zeros(1, "f")
        one = native.Updated(gradient, weight, *moments, 0.0)
        native.sum_of_squares([gradient], threads=threads)
        native.adam([one], lr=0.1, betas=(0.9, 0.99), epsilon=1e-8, decoupled=False,
                    threads=threads)
        return weight.copy()
    return (step,)

def writing(threads):
    hidden, symbols = 256, 300
    sizes = dict(gates=4, inputs=hidden, hidden=hidden)
    weights = [draw.normal(size=p.shape(**sizes)).astype("f") / 16 for p in program.parameters]
    rows = draw.normal(size=(symbols, hidden)).astype("f")
    def write():
        packed = native.Packed(program, weights, table=rows)
        head = native.Product(rows, np.zeros(symbols, "f"))
        text = native.Writing([packed], keep=[], residual=False, head=head, threads=threads)
        choosing = native.Choosing(symbols, temperature=0, top_k=None, banned=[])
        states = [[np.zeros((1, hidden), "f")] * 2]
        return text.write(1, states, choosing, np.zeros(2000))[0]
    return (write,)

calls = {call}
small = layer(9, 7, 70, 2)
def now():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now() + (64 << 20), resource.RLIM_INFINITY))
def free():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
free()
said = []
for call in calls:
    for megabytes in (0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48):
        resource.setrlimit(resource.RLIMIT_AS, (now() + (megabytes << 20), resource.RLIM_INFINITY))
        try:
            call()
            said.append("done")
        except MemoryError:
            said.append("MemoryError")
        free()
expected = [call() for call in calls]
again = [call() for call in calls]
assert all((a == b).all() for a, b in zip(expected, again))
assert np.isfinite(small[0]()).all() and np.isfinite(small[1]()).all()
print(" ".join(sorted(set(said))))
"""


@pytest.mark.parametrize("torch", [False, True])
@pytest.mark.parametrize(
    ("call", "some"),
    [
        ("layer(60, 64, 256, 2)", True),
        ("layer(10, 20, 650, 1)", True),
        ("loss(700, 512, 4000, 2)", True),
        ("loss(300, 100, 20000, 1)", True),
        ("update(4_000_000, 2)", True),
        ("writing(2)", True),
    ],
)
def test_no_memory(call, some, torch):
    code = CODE.format(path=sys.path, call=call, torch=torch)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.split()) <= {"MemoryError", "done"}
    assert not some or "MemoryError" in done.stdout
