"""A layer that many threads call at once gives what calls in turn give."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from recurra.keras import GRU, LSTM, SimpleRNN

LAYERS = {
    "lstm": lambda: LSTM(24, return_sequences=True),
    "gru": lambda: GRU(24),
    "rnn": lambda: SimpleRNN(24, go_backwards=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    layer = LAYERS[name]()
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(3, 7, 5)).astype("float32") for _ in range(4)]
    layer.build(inputs[0].shape)
    expected = [np.asarray(layer(x).detach()) for x in inputs]

    def work(number):
        return [np.asarray(layer(inputs[number]).detach()) for _ in range(6)]

    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(work, range(4)), expected, strict=True):
            for one in found:
                np.testing.assert_array_equal(one, wanted)
