"""Arrays of numpy and torch as the compiled library takes them: addresses and strides."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from recurra.cells.graph import Program

Array = Any  # numpy.ndarray or torch.Tensor


def hidden_and_projection(program: Program, parameters: Sequence[Array]) -> tuple[int, int]:
    """Return H and P (0 without a projection)."""
    hidden = parameters[0].shape[0] // len(program.gates)
    recurrent = parameters[1].shape[1]
    projected = any(p.name == "weight_hr" for p in program.parameters)
    return hidden, recurrent if projected else 0


def in_order(program: Program, arrays: Sequence[Array | None]) -> list[int]:
    """Addresses with a place for the biases, which the kernels' list always has."""
    addresses = [address(a) for a in arrays]
    if program.option("bias"):
        return addresses
    given = {p.name: a for p, a in zip(program.parameters, addresses, strict=True)}
    return [given.get(name, 0) for name in _biased(program)]


@lru_cache(maxsize=256)
def _biased(program: Program) -> tuple[str, ...]:
    return tuple(p.name for p in program.biased().parameters)


def is_double(array: Array) -> bool:
    """Whether it holds float64, and not float32."""
    return bool(array.dtype.itemsize == 8)


def address(array: Array | None) -> int:
    """Return where it begins in memory; 0 for None."""
    if array is None:
        return 0
    if hasattr(array, "data_ptr"):
        return int(array.data_ptr())
    return int(array.__array_interface__["data"][0])


def strided(array: Array | None) -> tuple[int, int, int]:
    """Return the address of (T, B, ·), and the elements between steps and between rows."""
    if array is None:
        return 0, 0, 0
    if hasattr(array, "data_ptr"):
        step, row, _ = array.stride()
        return int(array.data_ptr()), step, row
    step, row, _ = (s // array.itemsize for s in array.strides)
    return int(array.__array_interface__["data"][0]), step, row


def rows(array: Array | None) -> tuple[int, int, int]:
    """Return the address of rows (V, ·), 0, and the elements between rows."""
    if array is None:
        return 0, 0, 0
    if hasattr(array, "data_ptr"):
        return int(array.data_ptr()), 0, array.stride(0)
    return address(array), 0, array.strides[0] // array.itemsize
