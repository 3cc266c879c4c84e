"""Recurrent layers and the loss over torch tensors: our operators, and torch's kernels beside."""

from recurra.ops import flops as flops
from recurra.ops.embedding import embedding
from recurra.ops.fused import Stack, fused, fused_masked, fused_name
from recurra.ops.kept import KeptWeights
from recurra.ops.loss import token_losses
from recurra.ops.observed import Watch, observed
from recurra.ops.readable import are_plain
from recurra.ops.recurrent import (
    Lookup,
    Noise,
    kernel_name,
    named,
    on_kernels,
    plain,
    program_name,
    recurrent,
    reference,
    straight,
)
from recurra.ops.threads import fixed_order, threads
from recurra.ops.traced import recorded_by_jit, recorded_for_onnx

__all__ = [
    "KeptWeights",
    "Lookup",
    "Noise",
    "Stack",
    "Watch",
    "are_plain",
    "embedding",
    "fixed_order",
    "fused",
    "fused_masked",
    "fused_name",
    "kernel_name",
    "named",
    "observed",
    "on_kernels",
    "plain",
    "program_name",
    "recorded_by_jit",
    "recorded_for_onnx",
    "recurrent",
    "reference",
    "straight",
    "threads",
    "token_losses",
]
