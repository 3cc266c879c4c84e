"""Torch modules: recurrent layers and what is built of them.

Importing this tells `torch.load` that our layers are data: whole modules that hold them load with
`weights_only=True`, as torch's own layers do. What is registered looks a cell up by its name and
its digest, and runs nothing that a file brings.
"""

from torch.serialization import add_safe_globals

from recurra.cells import find
from recurra.nn.cells import GRUCell, LSTMCell, RecurrentCell, RNNCell
from recurra.nn.layers import GRU, LSTM, RNN
from recurra.nn.recording import state_gradients
from recurra.nn.recurrent import Recurrent
from recurra.nn.state import detach, fork, select

_LAYERS = [RNN, LSTM, GRU, Recurrent, RNNCell, LSTMCell, GRUCell, RecurrentCell]
add_safe_globals([*_LAYERS, find])

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
