"""Keras' models: `keras.models`, on the torch backend that our layers need."""

from recurra.errors import InputError
from recurra.keras.backend import problem

if (_found := problem()) is not None:
    raise InputError(f"recurra.keras: {_found}")

from keras.models import *  # noqa: F403
