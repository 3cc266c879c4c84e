"""`route`: which way a call of a layer takes. All that decides it stands here.

| way | file | for |
|---|---|---|
| `run_direct` | `direct.py` | plain eager calls on our kernels |
| `run_operator` | `operator.py` | the same where a compiler, an exporter or a mode sees a graph |
| `run_fused` | `fused.py` | torch's kernels: cuDNN, what ours do not run on, ONNX |
| `run_interpreted` | `interpreted.py` | what has no kernels, as one node of a graph |
| `run_traced` | `traced.py` | `torch.jit.trace` |
| `run_reference` | `reference.py` | all else: `torch.func`, forward mode, other devices |
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recurra.ops.call import Call
from recurra.ops.direct import run_direct
from recurra.ops.fit import not_in_half
from recurra.ops.fused import run_fused
from recurra.ops.interpreted import run_interpreted
from recurra.ops.operator import run_operator
from recurra.ops.programs import on_kernels
from recurra.ops.readable import check_together, plain_types
from recurra.ops.reference import run_reference
from recurra.ops.traced import define_traced, recorded_for_onnx, refuse_for_onnx, run_traced
from recurra.ops.watch import special

Way = Callable[[Call], Sequence[Tensor]]

#: Values of the products of a lookup's rows from which on they would not stay in a cache.
_TABLE = 1 << 22


def route(call: Call, fused: str | None = None) -> tuple[Way, Call]:
    """Choose the way of a call.

    Our kernels serve tensors of float32 and float64 on the CPU, with first gradients. Second
    gradients, forward-mode differentiation, `torch.func` and gradients by the noise are the
    reference's. Under autocast on the CPU everything is cast to the dtype of the weights: bfloat16
    products would be slower here, and the states lose what makes them last.

    Args:
        call: the call.
        fused: torch's name of its kernel, where that may run; None: it may not.

    Returns:
        The way, and the call as it takes it: cast, and where the rows of a lookup are not many
        fewer than its steps, with the rows that tokens choose.

    Raises:
        InputError: tensors on several devices; products in bfloat16 that cannot be had; what
            `torch.onnx.export` cannot record.
    """
    weight, graph = call.parameters[0], torch.compiler.is_compiling()
    trace = torch._C._get_tracing_state() is not None
    onnx = (graph or trace) and recorded_for_onnx()
    served = call.kernels and on_kernels(weight)
    others = onnx or not (served or call.half)
    if others and fused is not None and _fused_runs(call, graph=graph, onnx=onnx):
        return run_fused, call.dense()
    if served and not graph:
        served = not special()
        if call.mask is not None or call.keep:
            drawn = (call.mask, *call.keep)
            served = served and not any([d is not None and d.requires_grad for d in drawn])
    if call.half and not (served and weight.dtype == torch.float32):
        raise not_in_half(call)
    if onnx:
        refuse_for_onnx(call.program)
    if trace:
        return run_traced, call.dense()
    seen = graph or torch._C._len_torch_dispatch_stack() > 0 or not plain_types(call.leaves)
    if call.tokens is not None:
        if not graph:
            check_together("tokens and their rows", call.x, call.tokens, weight)
        if seen or not served or not _pays(call):
            call = call.dense()
    if call.kernels and torch.is_autocast_enabled("cpu"):
        cast = call.x.to(weight.dtype), [s.to(weight.dtype) for s in call.initial]
        start = [s.to(weight.dtype) for s in call.start]
        call = call._replace(x=cast[0], initial=cast[1], start=start)
    if served:
        return run_operator if seen else run_direct, call
    if graph:
        return run_interpreted, call
    check_together(f"recurrent ({call.program.cell})", *call.leaves, call.valid, call.reset)
    return run_reference, call


def run(call: Call) -> Sequence[Tensor]:
    """Outputs (T, B, R) and the final states, by the way that `route` chooses.

    Raises:
        InputError: as `route`; dtypes differ, or a shape does not fit.
    """
    way, call = route(call)
    return way(call)


def _fused_runs(call: Call, *, graph: bool, onnx: bool) -> bool:
    """Whether torch's kernel computes all of a call."""
    if call.mask is not None or call.rates or call.reverse or call.reset is not None:
        return False
    if onnx:
        return call.valid is None
    # Traced, torch's CPU kernels are unrolled and packing looks at values.
    if graph and (call.valid is not None or call.x.is_cpu):
        return False
    return call.steps[0] > 0  # they refuse sequences without a step


def _pays(call: Call) -> bool:
    """Whether the products of a lookup's rows are fewer than those of its steps, and can be had."""
    assert call.tokens is not None
    few = 2 * len(call.x) <= call.tokens.numel()
    small = len(call.x) * len(call.parameters[0]) <= _TABLE
    return few and small and not call.program.option("norm")


define_traced(run)
