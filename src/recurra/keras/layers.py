"""Keras' layers, with our SimpleRNN, LSTM, GRU and cells in place of its own."""

from recurra.errors import InputError
from recurra.keras.backend import problem

if (_found := problem()) is not None:
    raise InputError(f"recurra.keras: {_found}")

from keras.layers import *  # noqa: F403

from recurra.keras.recurrent import (  # noqa: F401
    GRU,
    LSTM,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
)
