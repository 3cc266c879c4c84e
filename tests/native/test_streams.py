"""Steps of many streams in one call: each stream's bits are those it has alone, whatever is beside.

The judges: the same layers one by one through `forward`, a step at a time and over all steps at
once, and the reference over numpy in float64.
"""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from native.cases import Case, Problem
from native.own import PROGRAMS as OWN
from native.test_kernels import PROGRAMS, WITHOUT_BIAS
from recurra import native
from recurra.cells.emit import key
from recurra.reference import Interpreter

pytestmark = pytest.mark.skipif(not native.available(), reason="not run: no kernels here")

ALL = [*PROGRAMS, *WITHOUT_BIAS, *list(OWN.values())[:4]]
V, T = 37, 5
BATCHES = (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 31, 32, 48, 64)
#: (H, P), threads, whether there is zoneout.
SHAPES = {
    "small": (20, 9, 1, False),
    "zoneout": (33, 17, 1, True),
    "two threads": (272, 40, 2, False),
}


@pytest.fixture(params=native.isas())
def isa(request):
    before = native.isa()
    native.use_isa(request.param)
    yield request.param
    native.use_isa(before)


class Model:
    """Two layers and an output layer, once as one call and once as its parts."""

    def __init__(self, program, hidden, projection, threads, *, zoneout=False, residual=False):
        first = Case(
            steps=1,
            batch=1,
            inputs=hidden,
            hidden=hidden,
            projection=projection,
            dtype=torch.float32,
        )
        self.program = program
        lower = Problem.of(program, first.but(inputs=7))
        self.width = lower.initial[0].shape[1]
        upper = Problem.of(program, first.but(inputs=self.width), seed=1)
        self.parameters = [[p.numpy() for p in one.parameters] for one in (lower, upper)]
        self.residual = residual
        states = [s.shape[1] for s in lower.initial]
        self.keep = [0.2, *[0.35] * (len(states) - 1)] if zoneout else []
        draw = np.random.default_rng(3)
        self.rows = draw.normal(size=(V, 7)).astype(np.float32)
        self.head = draw.normal(size=(V, self.width), scale=0.3).astype(np.float32)
        self.tokens = draw.integers(0, V, (T, 64))
        self.initial = [
            [draw.normal(size=(64, w), scale=0.5).astype(np.float32) for w in states]
            for _ in self.parameters
        ]
        self.table = None if program.option("norm") else self.rows
        self.packed = [
            native.Packed(program, parameters, table=None if k else self.table)
            for k, parameters in enumerate(self.parameters)
        ]
        self.product = native.Product(self.head)
        names = {"keep": self.keep, "residual": residual, "threads": threads}
        self.streams = native.Streams(self.packed, head=self.product, **names)
        self.bare = native.Streams(self.packed, **names)

    def step(self, tokens, states, streams=None):
        streams = streams or self.streams
        if self.table is None:
            return streams.step(self.rows[tokens], states)
        return streams.step_tokens(tokens, states)

    def walk(self, rows, streams=None):
        """Logits (T, B, V) and the last states of the streams `rows`, T steps of all."""
        states = [[s[rows] for s in layer] for layer in self.initial]
        found = []
        for t in range(T):
            logits, states = self.step(self.tokens[t, rows], states, streams)
            found.append(logits)
        return np.stack(found), states

    def apart(self):
        """The same of all streams, layer by layer over all steps."""
        x, last = self.rows[self.tokens], []
        for k, parameters in enumerate(self.parameters):
            y = np.empty((*x.shape[:2], self.width), np.float32)
            ended = [np.empty_like(s) for s in self.initial[k]]
            inputs = native.Inputs(
                self.program, x, parameters, self.initial[k], keep=self.keep, threads=1
            )
            native.forward(inputs, y, ended)
            x = y + x if self.residual and k else y
            last.append(ended)
        return self.product(x), last


def same(found, expected, rows):
    np.testing.assert_array_equal(found[0], expected[0][:, rows])
    for ours, theirs in zip(found[1], expected[1], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b[rows])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("program", ALL, ids=key)
def test_a_stream_has_the_bits_it_has_alone(isa, program, shape):
    hidden, projection, threads, zoneout = SHAPES[shape]
    residual = shape != "small"
    model = Model(program, hidden, projection, threads, zoneout=zoneout, residual=residual)
    expected = model.apart()
    order = np.random.default_rng(1).permutation(64)
    batches = BATCHES if shape == "small" else (1, 4, 5, 12, 64)
    for batch in batches:
        rows = order[:batch]
        same(model.walk(rows), expected, rows)
    outputs, _ = model.walk(order, model.bare)
    np.testing.assert_array_equal(model.product(outputs), expected[0][:, order])


@pytest.mark.parametrize("program", ALL, ids=key)
def test_steps_are_those_of_the_equations(program):
    model = Model(program, 20, 9, 1, zoneout=True, residual=True)
    x = model.rows[model.tokens].astype(np.float64)
    for k, parameters in enumerate(model.parameters):
        values = dict(zip([p.name for p in program.parameters], parameters, strict=True))
        interpreter = Interpreter(program, {n: v.astype(np.float64) for n, v in values.items()})
        states = tuple(s.astype(np.float64) for s in model.initial[k])
        run = interpreter.loop(interpreter.hoist(x), T, states, keep=model.keep)
        x = run.outputs + x if k else run.outputs
    expected = x @ model.head.T.astype(np.float64)
    found, _ = model.walk(np.arange(64))
    np.testing.assert_allclose(found, expected, atol=3e-5 * np.abs(expected).max())


def test_what_does_not_fit_is_refused_and_nothing_is_written():
    model = Model(PROGRAMS[0], 20, 9, 1)
    states = [[s[:2] for s in layer] for layer in model.initial]
    copies = [[s.copy() for s in layer] for layer in states]
    for token in (-1, V):
        with pytest.raises(IndexError, match=f"expected tokens below {V}, received {token}"):
            model.step(np.array([0, token]), states)
    for tokens, given in (
        (np.array([0]), states),
        (np.array([0, 1]), states[:1]),
        (np.array([0, 1]), [[], []]),
        (np.array([0, 1]), [[s[:, 1:] for s in layer] for layer in states]),
    ):
        with pytest.raises(ValueError, match="a state of another model"):
            model.step(tokens, given)
    with pytest.raises(ValueError, match="do not fit together"):
        native.Streams(model.packed[:1], head=native.Product(np.ones((V, 3), np.float32)))
    model.step(np.array([0, 1]), states)
    for layer, copy in zip(states, copies, strict=True):
        for s, c in zip(layer, copy, strict=True):
            np.testing.assert_array_equal(s, c)


def test_no_streams():
    model = Model(PROGRAMS[0], 20, 9, 2)
    logits, states = model.walk(np.arange(0))
    assert logits.shape == (T, 0, V)
    assert [s.shape for s in states[1]] == [(0, s.shape[1]) for s in model.initial[1]]


def test_a_copy_steps_alike():
    model = Model(PROGRAMS[0], 20, 9, 1, zoneout=True, residual=True)
    copy = pickle.loads(pickle.dumps(model.streams))
    same(model.walk(np.arange(9), copy), model.walk(np.arange(9)), np.arange(9))


def test_threads_that_share_it_step_alike():
    model = Model(PROGRAMS[0], 272, 40, 2)
    parts = [np.arange(n, 64, 5) for n in range(5)]
    expected = model.apart()
    with ThreadPoolExecutor(5) as pool:
        for _ in range(5):
            for rows, found in zip(parts, pool.map(model.walk, parts), strict=True):
                same(found, expected, rows)


BLAS = """
import hashlib, sys
import numpy as np
from native.test_kernels import PROGRAMS
from native.test_streams import Model
found = hashlib.sha256()
for program in PROGRAMS[:3]:
    model = Model(program, 48, 16, 2)
    whole = model.walk(np.arange(64))[0]
    for row in range(0, 64, 9):
        assert (model.walk(np.array([row]))[0] == whole[:, row : row + 1]).all()
    found.update(whole.tobytes())
print(found.hexdigest())
"""


def test_logits_do_not_depend_on_the_blas():
    digests = set()
    for blas in ("", "Haswell", "Prescott"):
        given = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        given |= {"OPENBLAS_CORETYPE": blas} if blas else {}
        command = [sys.executable, "-c", BLAS]
        done = subprocess.run(command, env=given, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr[-2000:]
        digests.add(done.stdout)
    assert len(digests) == 1
