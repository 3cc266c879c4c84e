"""The fused kernels: what `ops` and `runtime` call, on arrays of numpy or torch (on the CPU).

With RECURRA_KERNELS=off in the environment they count as not installed, and all else goes its
other ways. Arrays of a call are all float32 or all float64. Nothing is checked here but what would
read beyond an array: shapes are the caller's business. Look at `available` and `find` first.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from recurra.cells.emit import key
from recurra.cells.graph import Program
from recurra.errors import InputError

#: Whether the environment forbids the kernels.
OFF = os.environ.get("RECURRA_KERNELS") == "off"

Array = Any  # numpy.ndarray or torch.Tensor


def _load() -> Any:
    try:
        from recurra import _native
    except ImportError:  # installed without a compiler
        return None
    return None if OFF else _native


_native = _load()

#: Units of the arrays inside `saved` are padded to a multiple of this.
PAD = 16


def available() -> bool:
    """Whether this installation has the kernels."""
    return _native is not None


def isa() -> str:
    """Return the instruction set in use: "v4", "v3", "v2", "neon" or "base"."""
    return str(_native.isa())


def isas() -> tuple[str, ...]:
    """Return all instruction sets this processor runs, best first."""
    return tuple(_native.isas()) if _native else ()


def threads() -> int:
    """How many threads to use where no library says: OMP_NUM_THREADS, else the processors."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_isa(name: str) -> None:
    """Use another instruction set from now on. RECURRA_ISA in the environment does so at import."""
    if _native is None or not _native.use_isa(name):
        known = ", ".join(isas()) or "none: the kernels are not installed"
        raise InputError(f"instruction set {name!r}: expected one that runs here ({known})")


@lru_cache(maxsize=256)
def find(program: Program) -> int | None:
    """Return the number of a program's kernels; None: only the reference computes it."""
    if _native is None:
        return None
    names = _native.cells()
    name = key(program)
    return names.index(name) if name in names else None


class Inputs(NamedTuple):
    """What a call computes, and from what.

    Attributes:
        program: the cell, one that `find` knows.
        x: inputs (T, B, I); only the last axis must be contiguous.
        parameters: in the order of `program.parameters`, contiguous.
        initial: per state (B, R) or (B, H), contiguous; None: zeros.
        valid: booleans (T, B), contiguous; None: every step of every row counts.
        recurrent_mask: factors (B, R), contiguous, on what enters a recurrent product.
        keep: per state None, or the share of its old value that stays: a number, or factors
            (T, B, R or H), contiguous.
        reverse: from the last step to the first.
        threads: how many threads to use; results do not depend on it.
    """

    program: Program
    x: Array
    parameters: Sequence[Array]
    initial: Sequence[Array | None]
    valid: Array | None = None
    recurrent_mask: Array | None = None
    keep: Sequence[Array | float | None] = ()
    reverse: bool = False
    threads: int = 1

    @property
    def sizes(self) -> list[int]:
        """T, B, I, H and P."""
        return [*self.x.shape, *_hidden(self.program, self.parameters)]


class Packed:
    """Parameters in the kernels' order, to run the same layer many times (see `forward`).

    Bound to the instruction set in use, and a copy: make a new one when the parameters change.
    """

    def __init__(self, program: Program, parameters: Sequence[Array], *, threads: int = 1) -> None:
        hidden, projection = _hidden(program, parameters)
        make = _native.Packed64 if _double(parameters[0]) else _native.Packed32
        sizes = [0, 1, parameters[0].shape[1], hidden, projection]
        self.handle = make(_index(program), sizes, threads, _in_order(program, parameters))
        #: `step(x, states, rates, threads)`: one step of many streams. Inputs (B, I) and a list of
        #: states (B, R) and (B, H), arrays of numpy, to a list of new states, the first of which
        #: is the output; `rates` as in `Inputs.keep`, or empty.
        self.step = self.handle.step


class Stepper:
    """Streams that move on together, one step at a time, with little to do but the arithmetic.

    A stream's outputs do not depend on the others. The parameters are copied.

    Args:
        program: the cell.
        parameters: in the order of `program.parameters`, contiguous.
        batch: B, the number of streams; their states start from zero.
        threads: how many threads to use; one is fastest where H is below about 200.
    """

    def __init__(
        self, program: Program, parameters: Sequence[Array], *, batch: int = 1, threads: int = 1
    ) -> None:
        hidden, projection = _hidden(program, parameters)
        double = _double(parameters[0])
        self._type = np.float64 if double else np.float32
        self._shapes = [(batch, projection or hidden)]
        self._shapes += [(batch, hidden)] * (len(program.states) - 1)
        sizes = [1, batch, parameters[0].shape[1], hidden, projection]
        make = _native.Stepper64 if double else _native.Stepper32
        widths = [width for _, width in self._shapes]
        handle = make(_index(program), sizes, threads, _in_order(program, parameters), widths)
        self._handle = handle
        #: `step(x)`: inputs (B, I), contiguous, to outputs (B, R); the array returned is the
        #: stepper's own, and the next step writes over it.
        self.step = handle.step

    @property
    def states(self) -> list[np.ndarray]:
        """Copies of the states, (B, R) and (B, H); assign a list of such arrays to set them."""
        found = [np.empty(shape, self._type) for shape in self._shapes]
        for number, array in enumerate(found):
            self._handle.read(number, _address(array))
        return found

    @states.setter
    def states(self, values: Sequence[Array]) -> None:
        for number, (value, shape) in enumerate(zip(values, self._shapes, strict=True)):
            array = np.ascontiguousarray(value, self._type)
            if array.shape != shape:
                raise InputError(f"state {number}: expected {shape}, received {array.shape}")
            self._handle.write(number, _address(array))


def saved_size(inputs: Inputs) -> int:
    """Return how many elements forward has to leave for backward."""
    mixed = [int(k is not None and k is not False and not _is_zero(k)) for k in inputs.keep]
    size = _native.saved_size64 if _double(inputs.x) else _native.saved_size32
    index = _index(inputs.program)
    return int(size(index, inputs.sizes, inputs.valid is not None, mixed))


def empty(*shape: int, double: bool = False) -> np.ndarray:
    """Return an uninitialised array from memory that is kept from call to call.

    For what large calls write (`y`, `saved`, `dx`): fresh memory from the system can cost a tenth
    of the time of a training step.
    """
    array: np.ndarray = _native.empty(list(shape), double)
    return array


def forward(
    inputs: Inputs,
    y: Array,
    last: Sequence[Array | None],
    *,
    saved: Array | None = None,
    packed: Packed | None = None,
) -> None:
    """Run a layer in one direction.

    Args:
        inputs: see `Inputs`.
        y: outputs (T, B, R), written; only the last axis must be contiguous.
        last: per state (B, R) or (B, H), written, contiguous; None: not wanted.
        saved: flat, of `saved_size(inputs)` elements, written; None: no backward pass will follow.
        packed: the parameters, where they were packed beforehand.
    """
    run = _native.forward64 if _double(inputs.x) else _native.forward32
    run(
        _index(inputs.program),
        (packed.handle,) if packed else (),
        *_common(inputs),
        _strided(y),
        [_address(s) for s in last],
        _address(saved),
    )


def backward(
    inputs: Inputs,
    y: Array,
    saved: Array,
    dy: Array | None,
    dlast: Sequence[Array | None],
    *,
    dx: Array | None,
    dparameters: Sequence[Array | None],
    dinitial: Sequence[Array | None],
) -> None:
    """Compute the gradients of a layer in one direction.

    Args:
        inputs: those of the forward call.
        y: what it computed.
        saved: what it saved; not changed, so that backward can run again.
        dy: dL/dy (T, B, R), last axis contiguous; None: zeros.
        dlast: per state dL/d(last), contiguous; None: zeros.
        dx: dL/dx (T, B, I), written, last axis contiguous; None: not wanted.
        dparameters: in the order of `program.parameters`, contiguous; *added to*; None: not wanted.
        dinitial: per state, written, contiguous; None: not wanted.
    """
    run = _native.backward64 if _double(inputs.x) else _native.backward32
    run(
        _index(inputs.program),
        *_common(inputs),
        _strided(y),
        _address(saved),
        _strided(dy),
        [_address(s) for s in dlast],
        _strided(dx),
        _in_order(inputs.program, dparameters),
        [_address(s) for s in dinitial],
    )


def kept(inputs: Inputs, saved: Array) -> dict[str, Array]:
    """Return views (T, B, H) of the gates that a training call saved, by name."""
    names = _native.kept(_index(inputs.program))
    steps, batch, _, hidden, _ = inputs.sizes
    rows = -(-hidden // PAD) * PAD
    part = saved[: steps * batch * len(names) * rows].reshape(steps, batch, len(names), rows)
    return {name: part[:, :, k, :hidden] for k, name in enumerate(names) if name}


def function(name: str, x: np.ndarray) -> np.ndarray:
    """Return the pointwise function of contiguous values, as the kernels compute it."""
    y = np.empty_like(x)
    if not _native.function(name, _address(x), _address(y), x.size, _double(x)):
        raise LookupError(f"the kernels have no function {name!r}")
    return y


def memory() -> tuple[int, int]:
    """Return the bytes of large memory in use, and the bytes kept for later calls."""
    used, kept_bytes = _native.memory()
    return int(used), int(kept_bytes)


def _common(inputs: Inputs) -> tuple[object, ...]:
    shares = [k for k in inputs.keep]
    return (
        inputs.sizes,
        inputs.threads,
        inputs.reverse,
        _strided(inputs.x),
        _in_order(inputs.program, inputs.parameters),
        [_address(s) for s in inputs.initial],
        _address(inputs.valid),
        _address(inputs.recurrent_mask),
        [0 if k is None or isinstance(k, int | float) else _address(k) for k in shares],
        [float(k) if isinstance(k, int | float) else 0.0 for k in shares],
    )


def _index(program: Program) -> int:
    index = find(program)
    if index is None:
        raise InputError(f"the kernels do not have {key(program)!r}: use the reference")
    return index


def _hidden(program: Program, parameters: Sequence[Array]) -> tuple[int, int]:
    hidden = parameters[0].shape[0] // len(program.gates)
    recurrent = parameters[1].shape[1]
    projected = any(p.name == "weight_hr" for p in program.parameters)
    return hidden, recurrent if projected else 0


def _in_order(program: Program, arrays: Sequence[Array | None]) -> list[int]:
    """Addresses with a place for the biases, which the kernels' list always has."""
    addresses = [_address(a) for a in arrays]
    if program.option("bias"):
        return addresses
    places = _biased(program)
    given = {p.name: a for p, a in zip(program.parameters, addresses, strict=True)}
    return [given.get(name, 0) for name in places]


@lru_cache(maxsize=256)
def _biased(program: Program) -> tuple[str, ...]:
    names = [p.name for p in program.parameters]
    names[2:2] = ["bias_ih", "bias_hh"]
    for name in [n for n in names if n.startswith("norm_") and n not in ("norm_ih", "norm_hh")]:
        names.insert(names.index(name) + 1, f"{name}_bias")
    return tuple(names)


def _double(array: Array) -> bool:
    return bool(array.dtype.itemsize == 8)


def _is_zero(share: Array | float) -> bool:
    return isinstance(share, int | float) and share == 0


def _address(array: Array | None) -> int:
    if array is None:
        return 0
    if hasattr(array, "data_ptr"):
        return int(array.data_ptr())
    return int(array.__array_interface__["data"][0])


def _strided(array: Array | None) -> tuple[int, int, int]:
    if array is None:
        return 0, 0, 0
    if hasattr(array, "data_ptr"):
        step, row, _ = array.stride()
        return int(array.data_ptr()), step, row
    step, row, _ = (s // array.itemsize for s in array.strides)
    return int(array.__array_interface__["data"][0]), step, row


if _native is not None and os.environ.get("RECURRA_ISA"):
    use_isa(os.environ["RECURRA_ISA"])
