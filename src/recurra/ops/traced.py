"""What `torch.jit.trace` and `torch.onnx.export` record of a layer.

Neither can record the operator for compilers: a trace has no lists of optional tensors, and ONNX
none of our operators. A trace gets `recurra::traced`, which computes what the layer does, and asks
of whoever loads it to import this package. ONNX gets torch's own operators, for what they compute;
the rest is refused in a line that says what writes it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program
from recurra.errors import InputError
from recurra.ops.arguments import named
from recurra.reference import Run

if TYPE_CHECKING:
    from recurra.ops.recurrent import Noise


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


def in_a_trace(
    name: str,
    parameters: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    valid: Tensor | None,
    noise: "Noise",
    reverse: bool,
    half: bool,
) -> Run:
    """Record `recurra::traced`: one direction of one layer; arguments as of `recurrent`."""
    shares = noise.keep or ()
    keep = [k if isinstance(k, Tensor) else x.new_empty(0) for k in shares]
    rates = [k if isinstance(k, float) else 0.0 for k in shares]
    mask = noise.recurrent_mask
    given = (list(parameters), list(states), valid, mask, keep, rates, reverse, half)
    y, *last = torch.ops.recurra.traced(name, x, *given)
    return Run(y, tuple(last), {})


_library = torch.library.Library("recurra", "FRAGMENT")
_library.define(
    "traced(str name, Tensor x, Tensor[] parameters, Tensor[] initial, Tensor? valid, Tensor? mask,"
    " Tensor[] keep, float[] rates, bool reverse, bool half) -> Tensor[]"
)


def _traced(
    name: str,
    x: Tensor,
    parameters: Sequence[Tensor],
    initial: Sequence[Tensor],
    valid: Tensor | None,
    mask: Tensor | None,
    keep: Sequence[Tensor],
    rates: Sequence[float],
    reverse: bool,
    half: bool,
) -> list[Tensor]:
    """As `recurrent`, of which autograd sees the parts."""
    from recurra.ops.recurrent import Noise, recurrent

    program = named(name)
    weights: Mapping[str, Tensor] = {
        p.name: w for p, w in zip(program.parameters, parameters, strict=True)
    }
    shares = tuple(k if k.numel() else r for k, r in zip(keep, rates, strict=True))
    run = recurrent(
        program,
        weights,
        x,
        initial,
        kernel=name if native.available() and native.find(program) is not None else None,
        valid=valid,
        reverse=reverse,
        noise=Noise(mask, shares or None),
        half=half,
    )
    return [run.outputs, *run.states]


_library.impl("traced", _traced, "CompositeImplicitAutograd")
