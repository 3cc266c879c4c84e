"""Layers and stacks without torch: what the tasks' own `runtime` modules are composed of."""

from functools import partial

from recurra import moved
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack

__all__ = ["Architecture", "RuntimeStack", "Weights"]

__getattr__ = partial(moved.lookup, __name__)
