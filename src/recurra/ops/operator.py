"""The operator `recurra::recurrent`, for compilers, exporters and tracing modes, which see a graph.

Run eagerly it costs more than the arithmetic of a short call, so that eager calls go through
`direct.py`; both run the same kernels on the same arguments.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.ops import kernel
from recurra.ops.call import (
    LATER,
    SCHEMA,
    Call,
    arguments,
    later_gradients,
    packed,
    read_arguments,
    unpacked,
)
from recurra.ops.programs import named
from recurra.ops.traced import refuse_for_onnx

#: Fields of a call before `save`.
_COUNT = len(SCHEMA) - 2


def run_operator(call: Call) -> Sequence[Tensor]:
    """Outputs and final states, by one node of a graph."""
    save = torch.is_grad_enabled() and any([t.requires_grad for t in call.leaves])
    found = recurrent(*arguments(call.fields, save))
    return found[:-1] if save else found


@torch.library.custom_op(
    "recurra::recurrent",
    mutates_args=(),
    device_types="cpu",
    schema=f"({', '.join((*SCHEMA[:-2], 'bool save', *LATER))}) -> Tensor[]",
)
def recurrent(*given: Any) -> list[Tensor]:
    """Outputs, final states, and with `save` what backward needs; see `Call`."""
    fields, save = read_arguments(given, _COUNT)
    # With a copy of the outputs: those may be written to, and nothing in a graph watches over that.
    (y, *last), saved, fit = kernel.forward(Call.of(fields), save=save, room=True)
    if saved is None:
        return [y, *last]
    if fit.reads_output:
        saved[len(saved) - y.numel() :].copy_(y.flatten())
    return [y, *last, saved]


@recurrent.register_fake
def _(*given: Any) -> list[Tensor]:
    fields, save = read_arguments(given, _COUNT)
    call = Call.of(fields)
    program = named(call.name)
    refuse_for_onnx(program)
    _, width = program.widths([p.shape for p in call.parameters])
    y = call.x.new_empty(*call.steps, width)
    last = [call.x.new_empty(s.shape) for s in call.started().initial]
    if not save:
        return [y, *last]
    size, reads = kernel.saved_size(call)
    return [y, *last, call.x.new_empty(size + y.numel() if reads else size)]


@torch.library.custom_op(
    "recurra::recurrent_backward",
    mutates_args=(),
    device_types="cpu",
    schema=(
        f"({', '.join(SCHEMA)}, Tensor saved, Tensor? dy, Tensor?[] dlast, bool[] wanted)"
        " -> Tensor[]"
    ),
)
def recurrent_backward(*given: Any) -> list[Tensor]:
    """Gradients by x, parameters, initial states and starts, those that are `wanted`."""
    *fields, saved, dy, dlast, wanted = given
    call = Call.of(fields)
    fit = kernel.fitted(call)
    y = saved[fit.saved :].view(fit.outputs) if fit.reads_output else None
    found = kernel.backward(call, y, saved[: fit.saved], dy, dlast, wanted)
    return [f for f in found if f is not None]


@recurrent_backward.register_fake
def _(*given: Any) -> list[Tensor]:
    call, wanted = Call.of(given[: len(SCHEMA)]), given[-1]
    return [
        torch.empty_like(v, memory_format=_format(v, call.x))
        for v, w in zip(call.leaves, wanted, strict=True)
        if w
    ]


def _format(leaf: Tensor, x: Tensor) -> torch.memory_format:
    return torch.preserve_format if leaf is x else torch.contiguous_format


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    call = Call.of(read_arguments(inputs, _COUNT)[0])
    ctx.wanted = [v.requires_grad for v in call.leaves]
    tensors, ctx.fixed = packed(call, None, output[-1])
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    call, _, saved = unpacked(ctx.saved_tensors, ctx.fixed)
    dy, *dlast = gradients[:-1]
    found = iter(recurrent_backward(*call.fields, saved, dy, dlast, ctx.wanted))
    dx, *rest = [next(found) if w else None for w in ctx.wanted]
    one, two = len(call.parameters), len(call.parameters) + len(call.initial)
    noise = None, None, nothing(call.keep), nothing(call.rates)
    by = None, dx, rest[:one], rest[one:two]
    # Past reverse, half, tokens and save.
    return *by, *noise, None, None, None, None, *later_gradients(call, rest[two:])


def nothing(values: Sequence[Any]) -> list[None] | None:
    """No gradient, in the form autograd expects: by item for tensors, one for anything else."""
    tensors = all(isinstance(v, Tensor) for v in values)
    return [None] * len(values) if tensors else None


recurrent.register_autograd(_differentiate, setup_context=_remember)
