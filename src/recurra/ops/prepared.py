"""Short calls of a whole layer without gradients, at little more than the cost of their arithmetic.

A step of one stream takes the kernels a few microseconds, and every question around it, asked in
Python, is felt. Once the weights of all layers and directions are kept in order (`kept.py`), such
calls go from the module to one compiled function, which asks the same questions: whether the
tensors are plain ones of the expected kind, and the parameters still those that were put in order.
What it does not take goes the way of every other call.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra import native
from recurra.ops.kept import MOST_ROWS, KeptWeights
from recurra.ops.threads import threads
from recurra.ops.watch import plain


class Layers(NamedTuple):
    """What a module's calls without noise compute.

    Attributes:
        states: how many a cell has.
        names: by layer and direction the names of parameters, in the order of the program's.
        starts: names that learnt initial states have.
        dtype: of the parameters.
        directions: 1, or 2 whose outputs are side by side.
        axes: of an input: 3, or 2 of a cell, which takes one step and returns its states alone.
        batch_first, reverse: as the layers' arguments.
    """

    states: int
    names: Sequence[Sequence[str]]
    starts: Sequence[str]
    dtype: torch.dtype
    directions: int = 1
    axes: int = 3
    batch_first: bool = False
    reverse: bool = False


class Prepared:
    """What calls of a module with its present settings run on: nothing at first.

    Threads may call while another prepares: all ways give the same results. A module makes a new
    one when one of its settings changes.
    """

    __slots__ = ("_run",)

    def __init__(self) -> None:
        self._run: Any = None

    def follow(self, kept: Sequence[KeptWeights], layers: Callable[[], Layers | None]) -> None:
        """Prepare where the weights are kept, or let go of them where they are not.

        Asked after a call that went another way.

        Args:
            kept: by layer and direction.
            layers: says what is computed; None: what cannot be done here.
        """
        held = [k.held for k in kept]
        parts = [(h.packed.handle, h.watched) for h in held if h is not None]
        if len(parts) < len(held):
            self._run = None
        elif self._run is None and (found := layers()) is not None:
            self._run = native.prepared(
                [(*part, tuple(names)) for part, names in zip(parts, found.names, strict=True)],
                states=found.states,
                directions=found.directions,
                axes=found.axes,
                batch_first=found.batch_first,
                reverse=found.reverse,
                starts=found.starts,
                most=MOST_ROWS,
                double=found.dtype == torch.float64,
                torch=(Tensor, nn.Parameter, found.dtype, torch.empty_like, _Template(found.dtype)),
            )

    def call(self, parameters: Mapping[str, Tensor | None], x: Tensor, hx: Any) -> Any:
        """Return outputs and states as the module does, or None: the call has to go another way.

        Args:
            parameters: the module's own, by name.
            x: its input.
            hx: its initial states; None: zeros.
        """
        run = self._run
        if run is None or not plain():
            return None
        found = run(parameters, x, hx, -threads())
        if found is False:
            self._run = None
            return None
        return found


class _Template:
    """Makes tensors for `empty_like`, which no default of torch's changes."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def __call__(self, *sizes: int) -> Tensor:
        return torch.empty(sizes, dtype=self._dtype, device="cpu")
