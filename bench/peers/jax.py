"""JAX: `lax.scan` under `jit`, the input's product taken out of the loop."""

import os
from functools import partial
from types import SimpleNamespace
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from bench.peers import Forms, Job
from bench.peers.equations import gradients, parameters, step
from bench.work import TAKEN, Numbers, Work

XP = SimpleNamespace(
    split=lambda a, n: jnp.split(a, n, axis=-1),
    matmul=jnp.matmul,
    sigmoid=jax.nn.sigmoid,
    tanh=jnp.tanh,
)


def forms(spec: dict) -> Forms:
    """Return the scan, as it is and with five steps of it unrolled.

    All steps unrolled were not faster, and took a minute to compile at T = 100.
    """
    work = Work(**spec)
    if work.kind == "step":
        return {"jit": partial(_step, work)}
    return {
        "lax.scan": partial(_layer, work, 1),
        "lax.scan, unroll=5": partial(_layer, work, 5),
    }


def _layer(work: Work, unroll: int) -> Job:
    numbers = work.numbers()
    given = jax.device_put(parameters(work.cell, numbers))
    x, dy = jax.device_put((numbers["x"], numbers["dy"]))
    states = 2 if work.cell == "lstm" else 1

    def layer(x: Any, p: Any) -> Any:
        def body(state: Any, a: Any) -> Any:
            state = step(work.cell, XP, a, state, p)
            return state, state[0]

        start = (jnp.zeros((work.batch, work.hidden), x.dtype),) * states
        return lax.scan(body, start, x @ p["W"] + p["b"], unroll=unroll)[1]

    if work.kind == "inference":
        infer = jax.jit(layer)
        return Job(
            lambda: infer(x, given).block_until_ready(),
            lambda: {"y": np.asarray(infer(x, given))},
        )

    @jax.jit
    def train(x: Any, p: Any, dy: Any) -> Any:
        y, back = jax.vjp(layer, x, p)
        return y, back(dy)

    def result() -> Numbers:
        y, (dx, dp) = train(x, given, dy)
        found = {"y": y, "dx": dx, **gradients(work.cell, dp)}
        return {name: np.asarray(value) for name, value in found.items()}

    return Job(lambda: jax.block_until_ready(train(x, given, dy)), result)


def _step(work: Work) -> Job:
    numbers = work.numbers()
    given = jax.device_put(parameters(work.cell, numbers))
    x = numbers["x"][0]
    zeros = jnp.zeros((1, work.hidden))
    start = (zeros,) * (2 if work.cell == "lstm" else 1)
    state = start

    @jax.jit
    def one(x: Any, state: Any, p: Any) -> Any:
        return step(work.cell, XP, x @ p["W"] + p["b"], state, p)

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(one(x, state, given))

    def result() -> Numbers:
        nonlocal state
        state = start
        for _ in range(TAKEN):
            run()
        return {"h": np.asarray(state[0])}

    return Job(run, result)
