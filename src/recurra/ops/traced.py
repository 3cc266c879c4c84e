"""What `torch.jit.trace` and `torch.onnx.export` record of a layer.

Neither can record the operator for compilers: a trace has no lists of optional tensors, and ONNX
none of our operators. A trace gets `recurra::traced`, which computes what the layer does, and asks
of whoever loads it to import this package. ONNX gets torch's own operators, for what they compute;
the rest is refused in a line that says what writes it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program
from recurra.errors import InputError
from recurra.ops.call import Call


def recorded_for_onnx() -> bool:
    """Whether `torch.onnx.export` is at work."""
    return torch.onnx.is_in_onnx_export()


def recorded_by_jit() -> bool:
    """Whether `torch.jit.trace` is at work, for itself or for the older exporter to ONNX."""
    return torch._C._get_tracing_state() is not None


def refuse_for_onnx(program: Program) -> None:
    """Say what to do where `torch.onnx.export` meets what torch has no operator for.

    Raises:
        InputError: it is at work.
    """
    if recorded_for_onnx():
        options = ", ".join(f"{k}={v}" for k, v in program.options)
        raise InputError(
            "torch.onnx.export: expected a layer that torch.nn has, in evaluation, without masks, "
            f"lengths, noise and gates; received the cell {program.cell} ({options}): write the "
            "layer alone with recurra.export.onnx(layer, path), which has all of these"
        )


def run_traced(call: Call) -> Sequence[Tensor]:
    """Outputs and final states, recorded as one `recurra::traced`."""
    # A trace has no lists of optional tensors.
    keep = [call.x.new_empty(0) if k is None else k for k in call.keep]
    noise = call.valid, call.mask, keep, list(call.rates)
    given = call.name, call.x, list(call.parameters), list(call.initial)
    found: Sequence[Tensor]
    if call.reset is None:
        found = torch.ops.recurra.traced(*given, *noise, call.reverse, call.half)
    else:
        resets = call.reset, list(call.start)
        found = torch.ops.recurra.traced_resets(*given, *noise, call.reverse, call.half, *resets)
    return found


_library = torch.library.Library("recurra", "FRAGMENT")
_GIVEN = (
    "str name, Tensor x, Tensor[] parameters, Tensor[] initial, Tensor? valid, Tensor? mask,"
    " Tensor[] keep, float[] rates, bool reverse, bool half"
)
# Traces of earlier versions hold the first.
_library.define(f"traced({_GIVEN}) -> Tensor[]")
_library.define(f"traced_resets({_GIVEN}, Tensor? reset, Tensor[] start) -> Tensor[]")


def define_traced(run: Callable[[Call], Sequence[Tensor]]) -> None:
    """Have `recurra::traced` compute by `run`, of which autograd sees the parts."""

    def traced(*given: Any) -> list[Tensor]:
        return traced_resets(*given, None, [])

    def traced_resets(*given: Any) -> list[Tensor]:
        *first, reset, start = given
        call = Call(*first)._replace(reset=reset, start=start)
        keep = [k if k.numel() else None for k in call.keep if k is not None]
        there = native.available() and native.find(call.program) is not None
        return list(run(call._replace(keep=keep, kernels=there)))

    _library.impl("traced", traced, "CompositeImplicitAutograd")
    _library.impl("traced_resets", traced_resets, "CompositeImplicitAutograd")
