"""Weights packed once, for layers that run many times: whole, or step by step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.cells.graph import Program
from recurra.errors import InputError
from recurra.native import library
from recurra.native.arrays import (
    Array,
    address,
    hidden_and_projection,
    in_order,
    is_double,
    order,
    rows,
)
from recurra.native.library import index_of


class Remade:
    """Base of objects around compiled ones, which are copied by being made anew.

    `_given` are the arguments by position and by name.
    """

    _given: tuple[tuple[Any, ...], dict[str, Any]]

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), *self._given)


def _remake(cls: type, positions: tuple[Any, ...], names: dict[str, Any]) -> Any:
    return cls(*positions, **names)


class Packed(Remade):
    """Parameters in the kernels' order, to run the same layer many times (see `forward`).

    Bound to the instruction set in use, and a copy: make a new one when the parameters change.

    Args:
        program: the cell.
        parameters: in the order of `program.parameters`, contiguous.
        threads: how many threads to use.
        half: as in `Inputs`.
        table: rows (V, I) that tokens choose from: their products are computed here, once.
    """

    def __init__(
        self,
        program: Program,
        parameters: Sequence[Array],
        *,
        threads: int = 1,
        half: bool = False,
        table: Array | None = None,
    ) -> None:
        names = {"threads": threads, "half": half, "table": table}
        self._given = (program, list(parameters)), names
        hidden, projection = hidden_and_projection(program, parameters)
        make = (
            library.compiled().Packed64 if is_double(parameters[0]) else library.compiled().Packed32
        )
        sizes = [0, 1, parameters[0].shape[1], hidden, projection]
        sizes += [] if table is None else [len(table)]
        given = in_order(parameters, order(program).places)
        #: Bytes of the parameters, and of the products of a table, not counting padding.
        self.nbytes = sum(p.nbytes for p in parameters)
        self.nbytes += (
            0 if table is None else len(table) * parameters[0].shape[0] * parameters[0].itemsize
        )
        self.handle = make(index_of(program), sizes, threads, given, half, rows(table))
        #: `step(x, states, rates, threads)`: one step of many streams. Inputs (B, I) and a list of
        #: states (B, R) and (B, H), arrays of numpy, to a list of new states, the first of which
        #: is the output; `rates` as in `Inputs.keep`, or empty.
        self.step = self.handle.step
        #: The same with tokens, int64 (B,), in the place of inputs, where there is a table.
        self.step_tokens = self.handle.step_tokens


def watched(parameters: Sequence[Array]) -> Any:
    """Return what `same(parameters)` compares tensors with: these, contiguous, as they are now.

    They must be the same objects (which it does not keep alive) at the same place, of the same
    version by autograd's counter. Of their values vectors and small matrices are compared whole, of
    a large matrix an element of each row and of each column: a change of a row, a column or all of
    it is noticed, one of a single element may not be. After `forget()` nothing is the same.
    """
    compiled = library.compiled()
    make = compiled.Watched64 if is_double(parameters[0]) else compiled.Watched32
    sizes = [(1, *p.shape)[-2:] for p in parameters]
    return make(list(parameters), [int(n) for pair in sizes for n in pair])


def prepared(
    parts: Sequence[tuple[Any, Any, tuple[str, ...]]],
    *,
    states: int,
    directions: int,
    axes: int,
    batch_first: bool,
    reverse: bool,
    starts: Sequence[str],
    most: int,
    double: bool,
    torch: tuple[Any, ...],
) -> Any:
    """Return a function from tensors of torch to tensors: all layers of a module in one call.

    It takes the parameters by name, the input, the initial states (None: zeros) and the number of
    threads (as in `Inputs`), and returns outputs and states. None: the input or the states are not
    plain tensors of the expected dtype and shape, or are too many; False: the parameters are no
    longer those that were put in order.

    Args:
        parts: by layer and direction `Packed.handle`, `watched` of the same parameters, and their
            names.
        states: how many a layer has.
        directions: 1 or 2; the outputs of two are side by side.
        axes: of an input: 3, or 2 for one step of a cell, which has no outputs but its states.
        batch_first: whether inputs and outputs are (B, T, ·).
        reverse: from the last step to the first.
        starts: names of learnt initial states: there must be none where none are given.
        most: steps times rows of a call.
        double: whether tensors hold float64.
        torch: the classes of tensors and of parameters, the dtype, `torch.empty_like`, and a
            function from sizes to what that reads.
    """
    compiled = library.compiled()
    make = compiled.Prepared64 if double else compiled.Prepared32
    return make(
        list(parts), states, directions, axes, batch_first, reverse, list(starts), most, torch
    ).run


class Stepper(Remade):
    """Streams that move on together, one step at a time, with little to do but the arithmetic.

    A stream's outputs do not depend on the others. The parameters are copied.

    Args:
        program: the cell.
        parameters: in the order of `program.parameters`, contiguous.
        batch: B, the number of streams.
        threads: how many threads to use; one is fastest where H is below about 200.
        half: as in `Inputs`.
        start: per state (R,) or (H,), what streams begin with; None: zeros.
    """

    def __init__(
        self,
        program: Program,
        parameters: Sequence[Array],
        *,
        batch: int = 1,
        threads: int = 1,
        half: bool = False,
        start: Sequence[Array] | None = None,
    ) -> None:
        kept = [p.detach().numpy().copy() if hasattr(p, "detach") else p.copy() for p in parameters]
        named = {"batch": batch, "threads": threads, "half": half, "start": start}
        self._given = (program, kept), named
        hidden, projection = hidden_and_projection(program, parameters)
        double = is_double(parameters[0])
        self._type = np.float64 if double else np.float32
        self._shapes = [(batch, projection or hidden)]
        self._shapes += [(batch, hidden)] * (len(program.states) - 1)
        sizes = [1, batch, parameters[0].shape[1], hidden, projection]
        make = library.compiled().Stepper64 if double else library.compiled().Stepper32
        widths = [width for _, width in self._shapes]
        given = in_order(parameters, order(program).places)
        handle = make(index_of(program), sizes, threads, given, widths, half)
        self._handle = handle
        #: `step(x, reset=None)`: inputs (B, I), contiguous, to outputs (B, R); the array returned
        #: is the stepper's own, and the next step writes over it. Streams where `reset`, booleans
        #: (B,), is set begin anew before it.
        self.step = handle.step
        for number, row in enumerate(start or ()):
            array = np.ascontiguousarray(row, self._type)
            if array.shape != (widths[number],):
                raise InputError(
                    f"start {number}: expected {(widths[number],)}, received {array.shape}"
                )
            handle.begin_with(number, address(array))

    def __reduce__(self) -> tuple[Any, ...]:
        return *super().__reduce__(), self.states

    def __setstate__(self, states: list[np.ndarray]) -> None:
        self.states = states

    @property
    def states(self) -> list[np.ndarray]:
        """Copies of the states, (B, R) and (B, H); assign a list of such arrays to set them."""
        found = [np.empty(shape, self._type) for shape in self._shapes]
        for number, array in enumerate(found):
            self._handle.read(number, address(array))
        return found

    @states.setter
    def states(self, values: Sequence[Array]) -> None:
        for number, (value, shape) in enumerate(zip(values, self._shapes, strict=True)):
            array = np.ascontiguousarray(value, self._type)
            if array.shape != shape:
                raise InputError(f"state {number}: expected {shape}, received {array.shape}")
            self._handle.write(number, address(array))
