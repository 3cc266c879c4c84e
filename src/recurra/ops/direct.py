"""The kernels, called directly: for plain eager calls, at a tenth of an operator's cost."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from recurra.ops.call import Call, packed, unpacked
from recurra.ops.fit import not_in_half
from recurra.ops.kept import MOST_ROWS
from recurra.ops.kernel import backward, forward
from recurra.ops.operator import run_operator
from recurra.ops.output import hooked, keep, kept
from recurra.ops.reference import gradients
from recurra.ops.watch import batched

_requires_grad = attrgetter("requires_grad")


def run_direct(call: Call) -> Sequence[Tensor]:
    """Outputs and final states, and the gradient's function behind them where one is wanted.

    A compiler may come here alone, past `route`, which asks whether one is there.
    """
    if torch.compiler.is_compiling():
        return run_operator(call)
    ordered = None
    if call.kept is not None and not call.half and call.tokens is None:
        few = call.x.shape[0] * call.x.shape[1] <= MOST_ROWS
        ordered = call.kept.ordered(call.name, call.parameters) if few else None
    if torch.is_grad_enabled() and any(map(_requires_grad, leaves := call.leaves)):
        # Past what `Function.apply` does before: it looks for `torch.func`, not at work here.
        apply = super(torch.autograd.Function, _Direct).apply
        results: tuple[Tensor, ...] = apply((call, ordered), *leaves)
        return results
    return forward(call, save=False, ordered=ordered)[0]


class _Direct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: tuple[Call, Any], *leaves: Tensor) -> tuple[Tensor, ...]:
        call, ordered = given
        found, saved, fit = forward(call, save=True, ordered=ordered)
        ctx.set_materialize_grads(False)
        tensors, ctx.fixed = packed(call, keep(ctx, found[0] if fit.reads_output else None), saved)
        ctx.fit = None if hooked() else fit
        ctx.save_for_backward(*tensors)
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dlast: Tensor | None) -> tuple[Tensor | None, ...]:
        call, y, saved = unpacked(ctx.saved_tensors, ctx.fixed)
        wanted = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or batched(dy, *dlast):
            if call.half:
                raise not_in_half(call)
            return None, *gradients(call, dy, dlast, wanted)
        y = kept(ctx, y, lambda: forward(call, save=False)[0][0])
        return None, *backward(call, y, saved, dy, dlast, wanted, fit=ctx.fit)
