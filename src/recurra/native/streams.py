"""Many streams of one model that move on together: a step of all its layers in one call."""

from collections.abc import Sequence

import numpy as np

from recurra.native import library
from recurra.native.packed import Packed, Remade
from recurra.native.product import Product

#: By layer its states, each (B, R) or (B, H).
State = Sequence[Sequence[np.ndarray]]


class Streams(Remade):
    """Layers, packed, one above the other, and perhaps an output layer; float32.

    A stream's results have the same bits alone and among others, in any place, with any number of
    threads. Threads may share it. `recurra.reference` is the slow twin.

    Args:
        layers: all packed by the instruction set in use.
        keep: per state the share of its old value that stays, or empty.
        residual: a layer above the first adds its input to its output.
        head: the output layer, of weights (V, R), which the kernels compute; None: steps end with
            the outputs of the last layer.
        threads: how many threads to use where a step has enough to do.
    """

    def __init__(
        self,
        layers: Sequence[Packed],
        *,
        keep: Sequence[float] = (),
        residual: bool = False,
        head: Product | None = None,
        threads: int = 1,
    ) -> None:
        names = {"keep": list(keep), "residual": residual, "head": head, "threads": threads}
        self._given = (list(layers),), names
        handles = [layer.handle for layer in layers]
        last = None if head is None else head.handle
        handle = library.compiled().Streams(handles, list(keep), residual, last, threads)
        #: `step(x, state)`: one step of B streams. Inputs (B, I) and a `State` to logits (B, V),
        #: or outputs (B, R), and a list a layer of the new states. The given ones stay as they are.
        self.step = handle.step
        #: The same with tokens, int64 (B,), in the place of inputs, where the first layer was
        #: packed with a table. IndexError for a token beyond it.
        self.step_tokens = handle.step_tokens
        #: `read(x, state, valid)`: many steps, (T, B, I), of which those count that `valid`, (T, B)
        #: of booleans or None, has. Returns the outputs (T, B, R) of the last layer, zeros where
        #: steps do not count, and the states after the last that does, with the bits of steps one
        #: by one.
        self.read = handle.read
        #: The same with tokens, int64 (T, B).
        self.read_tokens = handle.read_tokens
