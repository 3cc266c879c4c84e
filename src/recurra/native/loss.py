"""The output layer of a language model with its loss: cross-entropy and its gradients."""

from typing import NamedTuple

from recurra.errors import InputError
from recurra.native import library
from recurra.native.arrays import Array, address, is_double


class LossInputs(NamedTuple):
    """What is scored.

    Attributes:
        x: features (N, H); only the last axis must be contiguous.
        weight: W (V, H), contiguous.
        bias: b (V), contiguous; None: zeros.
        targets: token ids (N), int64, contiguous.
        counted: booleans (N), contiguous: the rows to look at; None: all.
        threads: how many threads to use; results do not depend on it.
        half: compute products in bfloat16 with sums in float32; float32 only, where `half_products`
            has a name.
    """

    x: Array
    weight: Array
    bias: Array | None
    targets: Array
    counted: Array | None = None
    threads: int = 1
    half: bool = False


def loss_forward(inputs: LossInputs, loss: Array, spread: Array) -> int | None:
    """Score each row by itself: -log softmax(W x + b)[target].

    Args:
        inputs: see `LossInputs`.
        loss: (N), written, in nats; 0 for rows that do not count.
        spread: (N, 2), written: the greatest logit, and the sum over all tokens of
            exp(logit - greatest); zeros for rows that do not count.

    Returns:
        None; or the first row that counts and whose target is no token, with nothing computed.
    """
    run = library.compiled()
    call = run.loss_forward64 if is_double(inputs.x) else run.loss_forward32
    wrong = call(*_common(inputs), address(loss), address(spread))
    return None if wrong < 0 else int(wrong)


def loss_backward(
    inputs: LossInputs,
    spread: Array,
    dloss: Array,
    *,
    dx: Array | None,
    dweight: Array | None,
    dbias: Array | None,
) -> None:
    """Compute the gradients of all rows' losses.

    Args:
        inputs: those of the forward call.
        spread: what it wrote.
        dloss: dL/dloss (N), contiguous.
        dx: dL/dx (N, H), written, contiguous, zeros for rows that do not count; None: not wanted.
        dweight: dL/dW (V, H), written, contiguous; None: not wanted.
        dbias: dL/db (V), written, contiguous; None: not wanted.
    """
    run = library.compiled()
    call = run.loss_backward64 if is_double(inputs.x) else run.loss_backward32
    gradients = (address(spread), address(dloss), address(dx), address(dweight), address(dbias))
    call(*_common(inputs), *gradients)


def _common(inputs: LossInputs) -> tuple[object, ...]:
    x, weight, bias, targets, counted, threads, half = inputs
    row = x.stride(0) if hasattr(x, "data_ptr") else x.strides[0] // x.itemsize
    if not all(weight.shape):
        raise InputError(
            f"weight: expected (V, H) of at least one token and feature, received "
            f"{tuple(weight.shape)}"
        )
    sizes = [len(targets), weight.shape[1], len(weight), row]
    return sizes, threads, half, [address(a) for a in (x, weight, bias, targets, counted)]
