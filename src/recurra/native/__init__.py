"""The fused kernels: what `ops` and `runtime` call, on arrays of numpy or torch (on the CPU).

With RECURRA_KERNELS=off in the environment they count as not installed, and all else goes its
other ways. Arrays of a call are all float32 or all float64. Nothing is checked here but what would
read beyond an array: shapes are the caller's business. Look at `available` and `find` first.
"""

from recurra.cells.limits import padded
from recurra.native.calls import (
    Inputs,
    backward,
    forward,
    kept,
    reads_output,
    recorded,
    saved_size,
    sized,
    sized_for,
    states,
)
from recurra.native.library import (
    PRECISIONS,
    Costs,
    at_most,
    available,
    cells,
    choice_of_threads,
    costs,
    crowded,
    empty,
    find,
    for_one_isa,
    function,
    half_products,
    isa,
    isas,
    memory,
    own_cells,
    share_threads,
    switched_off,
    threads,
    unavailable,
    usable,
    use_isa,
    without_half,
)
from recurra.native.loss import LossInputs, loss_backward, loss_forward
from recurra.native.own import BUILT_IN, built_in
from recurra.native.packed import Packed, Stepper, prepared, watched
from recurra.native.product import Product, matmul, row_sums
from recurra.native.streams import Streams
from recurra.native.update import Updated, adam, sum_of_squares
from recurra.native.writing import Choosing, Writing

__all__ = [
    "BUILT_IN",
    "PRECISIONS",
    "Choosing",
    "Costs",
    "Inputs",
    "LossInputs",
    "Packed",
    "Product",
    "Stepper",
    "Streams",
    "Updated",
    "Writing",
    "adam",
    "at_most",
    "available",
    "backward",
    "built_in",
    "cells",
    "choice_of_threads",
    "costs",
    "crowded",
    "empty",
    "find",
    "for_one_isa",
    "forward",
    "function",
    "half_products",
    "isa",
    "isas",
    "kept",
    "loss_backward",
    "loss_forward",
    "matmul",
    "memory",
    "own_cells",
    "padded",
    "prepared",
    "reads_output",
    "recorded",
    "row_sums",
    "saved_size",
    "share_threads",
    "sized",
    "sized_for",
    "states",
    "sum_of_squares",
    "switched_off",
    "threads",
    "unavailable",
    "usable",
    "use_isa",
    "watched",
    "without_half",
]
