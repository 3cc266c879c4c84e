"""Recurrent layers over torch tensors: the one operator, and torch's own kernels beside it."""

from recurra.ops.fused import Stack, fused, fused_masked, fused_name
from recurra.ops.observed import Watch, observed
from recurra.ops.recurrent import (
    Lookup,
    Noise,
    kernel_name,
    on_kernels,
    recurrent,
    reference,
)

__all__ = [
    "Lookup",
    "Noise",
    "Stack",
    "Watch",
    "fused",
    "fused_masked",
    "fused_name",
    "kernel_name",
    "observed",
    "on_kernels",
    "recurrent",
    "reference",
]
