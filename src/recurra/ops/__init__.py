"""Recurrent layers and the loss over torch tensors: our operators, and torch's kernels beside."""

from recurra.ops import flops as flops
from recurra.ops.call import Call, Lookup
from recurra.ops.embedding import embedding
from recurra.ops.fused import Stack, fused, fused_name, run_fused
from recurra.ops.kept import KeptWeights
from recurra.ops.loss import token_losses
from recurra.ops.prepared import Layers, Prepared
from recurra.ops.programs import kernel_name, named, on_kernels, program_name
from recurra.ops.readable import are_plain
from recurra.ops.recording import Watch, recorded
from recurra.ops.reference import run_reference
from recurra.ops.route import route, run
from recurra.ops.threads import fixed_order, threads
from recurra.ops.traced import recorded_for_onnx

__all__ = [
    "Call",
    "KeptWeights",
    "Layers",
    "Lookup",
    "Prepared",
    "Stack",
    "Watch",
    "are_plain",
    "embedding",
    "fixed_order",
    "fused",
    "fused_name",
    "kernel_name",
    "named",
    "on_kernels",
    "program_name",
    "recorded",
    "recorded_for_onnx",
    "route",
    "run",
    "run_fused",
    "run_reference",
    "threads",
    "token_losses",
]
