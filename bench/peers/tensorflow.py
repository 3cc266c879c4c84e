"""TensorFlow: Keras' layers in a `tf.function`, with and without XLA, and what else it has.

That is its own fused LSTM (`BlockLSTM`), and a loop written by hand with the input's product
taken out of it, compiled by XLA.
"""

import os
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from bench.peers import Forms, Job, threads
from bench.peers.equations import gradients, parameters, step
from bench.work import TAKEN, Numbers, Work, reorder

tf.config.threading.set_intra_op_parallelism_threads(threads())
tf.config.threading.set_inter_op_parallelism_threads(threads())

XP = SimpleNamespace(
    split=lambda a, n: tf.split(a, n, axis=-1),
    matmul=tf.matmul,
    sigmoid=tf.sigmoid,
    tanh=tf.tanh,
)
#: Keras' gates from torch's, and back.
KERAS = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 1, 2, 3)}
#: The same for BlockLSTM: i g f o.
BLOCK = (0, 2, 1, 3)

#: Of x and the parameters: y, time first or batch first.
Layer = Callable[[Any, dict[str, Any]], Any]


def forms(spec: dict) -> Forms:
    """Return Keras' layer, the loop by hand, and for the LSTM the fused operation."""
    work = Work(**spec)
    if work.kind == "step":
        return {"tf.function": partial(_step, work, False), "XLA": partial(_step, work, True)}
    found: Forms = {
        "keras": partial(_keras, work, False),
        "keras, XLA": partial(_keras, work, True),
        "tf.while_loop, XLA": partial(_loop, work),
    }
    if work.cell == "lstm":
        found["BlockLSTM"] = partial(_block, work)
    return found


def _keras(work: Work, xla: bool) -> Job:
    numbers = work.numbers()
    name = {"rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}[work.cell]
    module = getattr(keras.layers, name)(work.hidden, return_sequences=True)
    module.build((work.batch, work.steps, work.hidden))
    order = KERAS[work.cell]
    biases = [reorder(numbers[n], order) for n in ("bias_ih", "bias_hh")]
    weights = [reorder(numbers[n], order).T for n in ("weight_ih", "weight_hh")]
    module.set_weights([*weights, np.stack(biases) if work.cell == "gru" else sum(biases)])

    def named(found: list[np.ndarray]) -> Numbers:
        W, U, b = found
        bias, other = b if work.cell == "gru" else (b, b)
        made = {"weight_ih": W.T, "weight_hh": U.T, "bias_ih": bias, "bias_hh": other}
        return {n: reorder(a, order) for n, a in made.items()}

    weights = [v.value for v in module.trainable_weights]
    return _job(work, numbers, lambda x, p: module(x), weights, named, xla=xla, batch_first=True)


def _loop(work: Work) -> Job:
    """The loop over time by hand, compiled by XLA."""
    numbers = work.numbers()
    given = {n: tf.constant(v) for n, v in parameters(work.cell, numbers).items()}

    def layer(x: Any, weights: list[Any]) -> Any:
        p = dict(zip(given, weights, strict=True))
        zeros = tf.zeros((work.batch, work.hidden))
        start = (zeros,) * (2 if work.cell == "lstm" else 1)
        a = tf.reshape(tf.matmul(tf.reshape(x, (-1, work.hidden)), p["W"]) + p["b"], shape)
        return tf.scan(lambda state, a: step(work.cell, XP, a, state, p), a, start)[0]

    shape = (work.steps, work.batch, numbers["bias_ih"].size)

    def named(found: list[np.ndarray]) -> Numbers:
        return gradients(work.cell, dict(zip(given, found, strict=True)))

    return _job(work, numbers, layer, list(given.values()), named, xla=True)


def _block(work: Work) -> Job:
    """TensorFlow's fused LSTM; not BlockLSTMV2, whose gradient takes its gates in another order."""
    numbers = work.numbers()
    parts = [reorder(numbers[n], BLOCK).T for n in ("weight_ih", "weight_hh")]
    bias = reorder(numbers["bias_ih"] + numbers["bias_hh"], BLOCK)
    weights = [tf.constant(np.concatenate(parts)), tf.constant(bias)]
    none, state = tf.zeros(work.hidden), tf.zeros((work.batch, work.hidden))
    steps = tf.constant(work.steps, tf.int64)

    def layer(x: Any, weights: list[Any]) -> Any:
        return tf.raw_ops.BlockLSTM(
            seq_len_max=steps,
            x=x,
            cs_prev=state,
            h_prev=state,
            w=weights[0],
            wci=none,
            wcf=none,
            wco=none,
            b=weights[1],
            forget_bias=0.0,
            cell_clip=-1.0,
        ).h

    def named(found: list[np.ndarray]) -> Numbers:
        w, b = found
        made = {"weight_ih": w[: work.hidden].T, "weight_hh": w[work.hidden :].T}
        return {n: reorder(a, BLOCK) for n, a in {**made, "bias_ih": b, "bias_hh": b}.items()}

    return _job(work, numbers, layer, weights, named, xla=False)


def _job(
    work: Work,
    numbers: Numbers,
    layer: Layer,
    weights: list[Any],
    named: Callable[[list[np.ndarray]], Numbers],
    *,
    xla: bool,
    batch_first: bool = False,
) -> Job:
    def turned(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array.swapaxes(0, 1)) if batch_first else array

    x, dy = tf.constant(turned(numbers["x"])), tf.constant(turned(numbers["dy"]))

    @tf.function(jit_compile=xla)
    def infer(x: Any) -> Any:
        return layer(x, weights)

    @tf.function(jit_compile=xla)
    def train(x: Any, dy: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([x, *weights])
            y = layer(x, weights)
        return y, tape.gradient(y, [x, *weights], dy)

    if work.kind == "inference":
        return Job(lambda: infer(x).numpy(), lambda: {"y": turned(infer(x).numpy())})

    def result() -> Numbers:
        y, (dx, *found) = train(x, dy)
        named_ = named([g.numpy() for g in found])
        return {"y": turned(y.numpy()), "dx": turned(dx.numpy()), **named_}

    return Job(lambda: train(x, dy)[0].numpy(), result)


def _step(work: Work, xla: bool) -> Job:
    numbers = work.numbers()
    given = {n: tf.constant(v) for n, v in parameters(work.cell, numbers).items()}
    x, zeros = tf.constant(numbers["x"][0]), tf.zeros((1, work.hidden))
    start = (zeros,) * (2 if work.cell == "lstm" else 1)
    state = start

    @tf.function(jit_compile=xla)
    def one(x: Any, state: Any) -> Any:
        return step(work.cell, XP, tf.matmul(x, given["W"]) + given["b"], state, given)

    def run() -> None:
        nonlocal state
        state = one(x, state)

    def result() -> Numbers:
        nonlocal state
        state = start
        for _ in range(TAKEN):
            run()
        return {"h": state[0].numpy()}

    return Job(run, result)
