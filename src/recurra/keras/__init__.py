"""Keras 3 layers and cells, on the torch backend, that run on our kernels.

`SimpleRNN`, `LSTM`, `GRU` and their cells take Keras' arguments, hold Keras' weights under Keras'
names and compute what Keras' own do; they go wherever those go. Importing this before `keras`
chooses the torch backend where the environment chooses none. `recurra.keras.layers` has all of
Keras' layers with these six among them, `recurra.keras.models` its models.

    from recurra.keras.layers import LSTM, Dense
    from recurra.keras.models import Sequential
"""

from typing import TYPE_CHECKING, NoReturn

from recurra.errors import InputError
from recurra.keras.backend import problem

_PROBLEM = problem()

if TYPE_CHECKING or _PROBLEM is None:
    from recurra.keras.recurrent import (
        GRU,
        LSTM,
        GRUCell,
        LSTMCell,
        SimpleRNN,
        SimpleRNNCell,
    )
else:

    def __getattr__(name: str) -> NoReturn:
        if name in __all__:
            raise InputError(f"recurra.keras: {_PROBLEM}")
        raise AttributeError(f"module 'recurra.keras' has no attribute {name!r}")


__all__ = ["GRU", "LSTM", "GRUCell", "LSTMCell", "SimpleRNN", "SimpleRNNCell"]
