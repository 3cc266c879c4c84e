"""The operator `recurra::recurrent` for whatever sees a graph: compilers, exporters, tracing modes.

Run eagerly it costs more than the arithmetic of a short call, so that eager calls go through
`torch.autograd.Function` (see `recurrent.py`); both run the same kernels on the same arguments.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.ops import kernel
from recurra.ops.arguments import Arguments, named, packed, unpacked
from recurra.ops.traced import refuse_for_onnx


@torch.library.custom_op("recurra::recurrent", mutates_args=(), device_types="cpu")
def recurrent(
    name: str,
    x: Tensor,
    parameters: list[Tensor],
    initial: list[Tensor],
    valid: Tensor | None,
    mask: Tensor | None,
    keep: list[Tensor | None],
    rates: list[float],
    reverse: bool,
    half: bool,
    tokens: Tensor | None,
    save: bool,
) -> list[Tensor]:
    """Outputs, final states, and with `save` what backward needs; see `Arguments`."""
    noise = valid, mask, keep, rates
    call = Arguments(name, x, parameters, initial, *noise, reverse, half, tokens)
    # With a copy of the outputs: those may be written to, and nothing in a graph watches over that.
    (y, *last), saved, reads = kernel.forward(call, save=save, room=True)
    if saved is None:
        return [y, *last]
    if reads:
        saved[len(saved) - y.numel() :].copy_(y.flatten())
    return [y, *last, saved]


@recurrent.register_fake
def _(  # type: ignore[no-untyped-def]
    name, x, parameters, initial, valid, mask, keep, rates, reverse, half, tokens, save
):
    noise = valid, mask, keep, rates
    call = Arguments(name, x, parameters, initial, *noise, reverse, half, tokens)
    refuse_for_onnx(named(name))
    _, recurrent = named(name).widths([p.shape for p in parameters])
    y = x.new_empty(*call.steps, recurrent)
    last = [x.new_empty(s.shape) for s in initial or _zeros(call)]
    if not save:
        return [y, *last]
    size, reads = kernel.saved_size(call)
    return [y, *last, x.new_empty(size + y.numel() if reads else size)]


def _zeros(call: Arguments) -> list[Tensor]:
    """The initial states of a call that has none."""
    program = named(call.name)
    hidden, recurrent = program.widths([p.shape for p in call.parameters])
    widths = [recurrent, *[hidden] * (len(program.states) - 1)]
    return [call.x.new_zeros(1, call.steps[1], w) for w in widths]


@torch.library.custom_op("recurra::recurrent_backward", mutates_args=(), device_types="cpu")
def recurrent_backward(
    name: str,
    x: Tensor,
    parameters: list[Tensor],
    initial: list[Tensor],
    valid: Tensor | None,
    mask: Tensor | None,
    keep: list[Tensor | None],
    rates: list[float],
    reverse: bool,
    half: bool,
    tokens: Tensor | None,
    saved: Tensor,
    dy: Tensor | None,
    dlast: list[Tensor | None],
    wanted: list[bool],
) -> list[Tensor]:
    """Gradients by x, parameters and initial states, those that are `wanted`."""
    noise = valid, mask, keep, rates
    call = Arguments(name, x, parameters, initial, *noise, reverse, half, tokens)
    fit = kernel.fitted(call)
    y = saved[fit.saved :].view(fit.outputs) if fit.reads_output else None
    found = kernel.backward(call, y, saved[: fit.saved], dy, dlast, wanted)
    return [f for f in found if f is not None]


@recurrent_backward.register_fake
def _(  # type: ignore[no-untyped-def]
    name,
    x,
    parameters,
    initial,
    valid,
    mask,
    keep,
    rates,
    reverse,
    half,
    tokens,
    saved,
    dy,
    dlast,
    wanted,
):
    leaves = zip([x, *parameters, *initial], wanted, strict=True)
    return [torch.empty_like(v, memory_format=_format(v, x)) for v, w in leaves if w]


def _format(leaf: Tensor, x: Tensor) -> torch.memory_format:
    return torch.preserve_format if leaf is x else torch.contiguous_format


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    call = Arguments(*inputs[:-1])
    ctx.wanted = [v.requires_grad for v in (call.x, *call.parameters, *call.initial)]
    tensors, ctx.fixed = packed(call, None, output[-1])
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    call, _, saved = unpacked(ctx.saved_tensors, ctx.fixed)
    dy, *dlast = gradients[:-1]
    found = iter(recurrent_backward(*call, saved, dy, dlast, ctx.wanted))
    dx, *rest = [next(found) if w else None for w in ctx.wanted]
    split = len(call.parameters)
    keep, rates = _nothing(call.keep), _nothing(call.rates)
    nothing = (None,) * 4
    return None, dx, rest[:split], rest[split:], None, None, keep, rates, *nothing


def _nothing(values: Sequence[Any]) -> list[None] | None:
    """No gradient, in the form autograd expects: by item for tensors, one for anything else."""
    tensors = all(isinstance(v, Tensor) for v in values)
    return [None] * len(values) if tensors else None


recurrent.register_autograd(_differentiate, setup_context=_remember)
