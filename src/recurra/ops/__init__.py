"""Recurrent layers and the loss over torch tensors: our operators, and torch's kernels beside."""

from recurra.ops import flops as flops
from recurra.ops.embedding import embedding
from recurra.ops.fused import Stack, fused, fused_masked, fused_name
from recurra.ops.loss import token_losses
from recurra.ops.observed import Watch, observed
from recurra.ops.readable import are_plain
from recurra.ops.recurrent import (
    Lookup,
    Noise,
    kernel_name,
    on_kernels,
    plain,
    program_name,
    recurrent,
    reference,
    straight,
)
from recurra.ops.traced import recorded_by_jit, recorded_for_onnx

__all__ = [
    "Lookup",
    "Noise",
    "Stack",
    "Watch",
    "are_plain",
    "embedding",
    "fused",
    "fused_masked",
    "fused_name",
    "kernel_name",
    "observed",
    "on_kernels",
    "plain",
    "program_name",
    "recorded_by_jit",
    "recorded_for_onnx",
    "recurrent",
    "reference",
    "straight",
    "token_losses",
]
