"""Torch modules: recurrent layers and what is built of them."""

from recurra.nn.layers import GRU, LSTM, RNN
from recurra.nn.observed import state_gradients
from recurra.nn.recurrent import Recurrent
from recurra.nn.state import detach, fork, select

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "detach", "fork", "select", "state_gradients"]
