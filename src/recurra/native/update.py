"""A step of Adam over all parameters at once, and the norm of their gradients."""

from collections.abc import Sequence
from typing import NamedTuple

from recurra.native import library
from recurra.native.arrays import Array, address, is_double


class Updated(NamedTuple):
    """One parameter and what belongs to it, contiguous arrays of one shape and dtype.

    Attributes:
        gradient: of the loss by the parameter.
        weight: the parameter, updated.
        mean: of gradients (the first moment), updated.
        square: mean square of gradients (the second moment), updated.
        step: one float32, the steps so far, counted up.
        decay: the parameter's weight decay.
    """

    gradient: Array
    weight: Array
    mean: Array
    square: Array
    step: Array
    decay: float


def sum_of_squares(arrays: Sequence[Array], *, threads: int = 1) -> float:
    """Return Σ v² over all contiguous arrays, of one dtype; in float64 within."""
    if not arrays:
        return 0.0
    run = library.compiled()
    call = run.squares64 if is_double(arrays[0]) else run.squares32
    return float(call([_size(a) for a in arrays], [address(a) for a in arrays], threads))


def adam(
    parameters: Sequence[Updated],
    *,
    lr: float,
    betas: tuple[float, float],
    epsilon: float,
    decoupled: bool,
    factor: float = 1.0,
    threads: int = 1,
) -> None:
    """Make one step of Adam (Kingma & Ba 2015) over all parameters.

    Args:
        parameters: see `Updated`; all of one dtype.
        lr: the learning rate.
        betas: decay of the two moments.
        epsilon: added to the root of the second moment.
        decoupled: decay acts on the weights themselves (AdamW, Loshchilov & Hutter 2019), not as a
            part of the gradient.
        factor: on every gradient, which itself stays as it is.
        threads: how many threads to use; results do not depend on it.
    """
    if not parameters:
        return
    run = library.compiled()
    call = run.update64 if is_double(parameters[0].weight) else run.update32
    places = [address(array) for p in parameters for array in p[:5]]
    sizes, decays = [_size(p.weight) for p in parameters], [p.decay for p in parameters]
    call(sizes, places, decays, threads, factor, lr, *betas, epsilon, decoupled)


def _size(array: Array) -> int:
    return int(array.numel() if hasattr(array, "data_ptr") else array.size)
