"""Arrays of numpy and torch as the compiled library takes them: addresses and strides."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from recurra.cells.graph import Program
from recurra.errors import InputError

Array = Any  # numpy.ndarray or torch.Tensor


class Order(NamedTuple):
    """What every call of a program asks about its parameters.

    gates: how many `weight_ih` has. places: per place of the kernels' list,
    which always has biases, the number of the parameter there, or None; empty where they agree.
    """

    gates: int
    places: tuple[int | None, ...]


@lru_cache(maxsize=256)
def order(program: Program) -> Order:
    """Return the order of a program's parameters."""
    names = [p.name for p in program.parameters]
    places = [names.index(name) if name in names else None for name in program.listed]
    agrees = places == [*range(len(names))]
    return Order(len(program.span("ih")), () if agrees else tuple(places))


def hidden_and_projection(program: Program, parameters: Sequence[Array]) -> tuple[int, int]:
    """Return H and P (0 without a projection).

    Raises:
        InputError: the parameters are of a layer without inputs or units, for which there are no
            kernels.
    """
    gates, shape = order(program).gates, parameters[0].shape
    if shape[0] < gates or shape[1] < 1:
        raise InputError(
            f"weight_ih: expected at least {gates} rows and 1 column for the kernels, received "
            f"{tuple(shape)}: use the reference for a layer without inputs or units"
        )
    hidden, recurrent = program.widths([p.shape for p in parameters])
    return hidden, recurrent if "weight_hr" in program.listed else 0


def in_order(arrays: Sequence[Array | None], places: Sequence[int | None]) -> list[int]:
    """Addresses by the places of `Order`."""
    found = [address(a) for a in arrays]
    return [0 if p is None else found[p] for p in places] if places else found


def is_double(array: Array) -> bool:
    """Whether it holds float64, and not float32."""
    return bool(array.dtype.itemsize == 8)


def address(array: Array | None) -> int:
    """Return where it begins in memory; 0 for None."""
    if array is None:
        return 0
    try:  # of torch: dozens a call, so that the question first would be felt
        return array.data_ptr()
    except AttributeError:
        return int(array.__array_interface__["data"][0])


def rows(array: Array | None) -> tuple[int, int, int]:
    """Return the address of rows (V, ·), 0, and the elements between rows."""
    if array is None:
        return 0, 0, 0
    if hasattr(array, "data_ptr"):
        return int(array.data_ptr()), 0, array.stride(0)
    return address(array), 0, array.strides[0] // array.itemsize
