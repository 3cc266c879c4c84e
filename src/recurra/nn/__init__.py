"""Torch modules: recurrent layers and what is built of them."""

from recurra.nn.cells import GRUCell, LSTMCell, RecurrentCell, RNNCell
from recurra.nn.layers import GRU, LSTM, RNN
from recurra.nn.observed import state_gradients
from recurra.nn.recurrent import Recurrent
from recurra.nn.state import detach, fork, select

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "detach",
    "fork",
    "select",
    "state_gradients",
]
