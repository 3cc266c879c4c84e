"""Ctrl-C within a long call: answered within 0.3 s, and everything goes on afterwards."""

import signal
import threading
import time

import numpy as np
import pytest
import torch

from native.cases import Case, Problem
from recurra import native
from recurra.cells import definition

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="the kernels are not compiled"),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such timer"),
]

PROGRAM = definition.find("lstm").program()
SMALL = Case(steps=9, batch=7, hidden=70, threads=2, dtype=torch.float32)
DRAW = np.random.default_rng(0)


def weights(inputs, hidden):
    sizes = {"gates": 4, "inputs": inputs, "hidden": hidden}
    return [DRAW.normal(size=p.shape(**sizes)).astype("f") for p in PROGRAM.parameters]


def layer(threads, steps=2000, hidden=512):
    """Some seconds of a layer, as functions: forward, and backward on what a short one saved."""
    x = np.zeros((steps, 8, 8), "f")
    given = native.Inputs(PROGRAM, x, weights(8, hidden), [None, None], threads=threads)
    y = np.zeros((steps, 8, hidden), "f")

    def forward():
        native.forward(given, y, [None, None])

    saved = np.zeros(native.saved_size(given), "f")
    gradients = [np.zeros_like(p) for p in given.parameters]

    def backward():
        native.backward(
            given, y, saved, y, [None, None], dx=None, dparameters=gradients, dinitial=[None, None]
        )

    return {"forward": forward, "backward": backward}


def loss(threads):
    rows, features, tokens = 2048, 256, 20000
    given = native.LossInputs(
        DRAW.normal(size=(rows, features)).astype("f"),
        DRAW.normal(size=(tokens, features)).astype("f"),
        None,
        np.zeros(rows, np.int64),
        threads=threads,
    )
    losses, spread = np.empty(rows, "f"), np.ones((rows, 2), "f")
    dweight = np.empty((tokens, features), "f")
    return {
        "loss": lambda: native.loss_forward(given, losses, spread),
        "gradients of the loss": lambda: native.loss_backward(
            given, spread, losses, dx=None, dweight=dweight, dbias=None
        ),
    }


@pytest.fixture
def alarm():
    """Has a handler called within a call that goes on much longer; gives how to."""
    before = signal.getsignal(signal.SIGALRM)

    def after(seconds, handler):
        signal.signal(signal.SIGALRM, lambda *_: handler())
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield after
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupt():
    raise KeyboardInterrupt


def again_and_again(call):
    for _ in range(1000):  # one is enough but on fast machines
        call()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["forward", "backward", "loss", "gradients of the loss"])
def test_a_long_call_ends(alarm, name, threads):
    call = (layer if "ward" in name else loss)(threads)[name]
    expected = Problem.of(PROGRAM, SMALL).run()
    begin = time.perf_counter()
    alarm(0.1, interrupt)
    with pytest.raises(KeyboardInterrupt):
        again_and_again(call)
    assert time.perf_counter() - begin < 0.1 + 0.3
    for key, value in Problem.of(PROGRAM, SMALL).run().items():
        assert torch.equal(value, expected[key]), key


def test_a_handler_that_computes(alarm):
    """It runs within the call, in the same thread, and neither disturbs the other."""
    expected = Problem.of(PROGRAM, SMALL).run()
    found = []
    alarm(0.1, lambda: found.append(Problem.of(PROGRAM, SMALL).run()))
    given = native.Inputs(
        PROGRAM, DRAW.normal(size=(800, 8, 8)).astype("f"), weights(8, 512), [None] * 2
    )
    y, again = np.empty((800, 8, 512), "f"), np.empty((800, 8, 512), "f")
    native.forward(given, y, [None, None])
    signal.setitimer(signal.ITIMER_REAL, 0)
    native.forward(given, again, [None, None])
    assert (y == again).all()
    for other in found:
        assert all(torch.equal(other[key], value) for key, value in expected.items())


def test_other_threads_go_on(alarm):
    """A signal is for the main thread alone."""
    call = layer(1, steps=300)["forward"]
    errors = []

    def work():
        try:
            call()
        except BaseException as error:
            errors.append(error)

    other = threading.Thread(target=work)
    other.start()
    alarm(0.02, interrupt)
    with pytest.raises(KeyboardInterrupt):
        again_and_again(lambda: time.sleep(0.01))
    other.join()
    assert not errors
