"""Layers and stacks without torch: what the tasks' own `runtime` modules are composed of."""

from functools import partial

from recurra import moved
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack
from recurra.runtime.stream_state import StreamState
from recurra.runtime.streams import Stream, push_many

__all__ = ["Architecture", "RuntimeStack", "Stream", "StreamState", "Weights", "push_many"]

__getattr__ = partial(moved.lookup, __name__)
