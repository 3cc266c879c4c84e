"""The operator `recurra::interpreted`: what has no kernels, for whatever sees a graph.

Traced through, the loop over time would be unrolled, for one number of steps. As an operator it is
one node, for any. Its backward pass runs the layer once more, with autograd.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from recurra.ops.arguments import Arguments, named
from recurra.ops.fused import Stack, fused, fused_masked, fused_name
from recurra.ops.traced import refuse_for_onnx
from recurra.reference import Interpreter


@torch.library.custom_op("recurra::interpreted", mutates_args=())
def interpreted(
    name: str,
    x: Tensor,
    parameters: list[Tensor],
    initial: list[Tensor],
    valid: Tensor | None,
    mask: Tensor | None,
    keep: list[Tensor | None],
    rates: list[float],
    reverse: bool,
    record: bool,
) -> list[Tensor]:
    """Outputs, final states, and with `record` all that is visible; see `Arguments`."""
    call = Arguments(name, x, parameters, initial, valid, mask, keep, rates, reverse)
    # What an operator returns is its own; a state that lags ends as another that came in.
    return [t.clone(memory_format=torch.contiguous_format) for t in _run(call, record)]


@interpreted.register_fake
def _(name, x, parameters, initial, valid, mask, keep, rates, reverse, record):  # type: ignore[no-untyped-def]
    refuse_for_onnx(named(name))
    y = x.new_empty(*x.shape[:2], initial[0].shape[-1])
    found = [y, *(x.new_empty(s.shape) for s in initial)]
    if record:
        one = x.new_empty(1, *x.shape[1:])
        call = Arguments(name, one, parameters, initial, None, None, [], [], reverse)
        seen = _run(call, record)[len(found) :]
        found += [x.new_empty(*x.shape[:2], v.shape[-1]) for v in seen]
    return found


@torch.library.custom_op("recurra::interpreted_backward", mutates_args=())
def interpreted_backward(
    name: str,
    x: Tensor,
    parameters: list[Tensor],
    initial: list[Tensor],
    valid: Tensor | None,
    mask: Tensor | None,
    keep: list[Tensor | None],
    rates: list[float],
    reverse: bool,
    record: bool,
    gradients: list[Tensor],
) -> list[Tensor]:
    """Gradients by x, parameters and initial states."""
    with _differentiable():
        leaves = [t.detach().requires_grad_() for t in (x, *parameters, *initial)]
        split = 1 + len(parameters)
        call = Arguments(
            name, leaves[0], leaves[1:split], leaves[split:], valid, mask, keep, rates, reverse
        )
        found = torch.autograd.grad(
            _run(call, record), leaves, gradients, allow_unused=True, materialize_grads=True
        )
    return [g.contiguous() for g in found]


@interpreted_backward.register_fake
def _(  # type: ignore[no-untyped-def]
    name, x, parameters, initial, valid, mask, keep, rates, reverse, record, gradients
):
    return [t.new_empty(t.shape) for t in (x, *parameters, *initial)]


@contextmanager
def _differentiable() -> Iterator[None]:
    """Record gradients, inside an operator too: in compiled graphs those run below autograd."""
    below = torch._C._dispatch_tls_local_exclude_set()
    autograd = torch._C.DispatchKeySet(torch._C.DispatchKey.AutogradFunctionality)
    here = torch._C._dispatch_tls_local_include_set(), below - autograd
    with torch._C._ForceDispatchKeyGuard(*here), torch.enable_grad():
        yield


def _run(call: Arguments, record: bool) -> Sequence[Tensor]:
    """The layer by torch's kernel where it has one, else by the reference."""
    program = named(call.name)
    theirs = fused_name(program)
    noisy = call.mask is not None or any(k is not None for k in call.keep) or any(call.rates)
    if theirs is None or noisy or call.reverse or record or not call.x.shape[0]:
        weights = {p.name: t for p, t in zip(program.parameters, call.parameters, strict=True)}
        shares = [r if k is None else k for k, r in zip(call.keep, call.rates, strict=True)]
        run = Interpreter(program, weights).run(
            call.x,
            call.initial,
            valid=call.valid,
            reverse=call.reverse,
            recurrent_mask=call.mask,
            keep=shares or None,
            record=record,
        )
        return [run.outputs, *run.states, *run.visible.values()]
    stack = Stack(1, False, bool(program.option("bias")), 0.0, False)
    states = [s[None] for s in call.initial]
    if call.valid is None:
        outputs, final = fused(theirs, call.x, states, call.parameters, stack)
    else:
        outputs, final = fused_masked(theirs, call.x, states, call.parameters, stack, call.valid)
    return [outputs, *(s[0] for s in final)]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *given, ctx.record = inputs
    call = Arguments(*given)
    ctx.name, ctx.rates, ctx.reverse = call.name, call.rates, call.reverse
    ctx.counts = (len(call.parameters), len(call.initial))
    ctx.save_for_backward(
        call.x, *call.parameters, *call.initial, call.valid, call.mask, *call.keep
    )


def _differentiate(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    x, *rest = ctx.saved_tensors
    weights, states = ctx.counts
    parameters, initial = list(rest[:weights]), list(rest[weights : weights + states])
    valid, mask, *keep = rest[weights + states :]
    call = ctx.name, x, parameters, initial, valid, mask, keep, ctx.rates, ctx.reverse, ctx.record
    dx, *found = interpreted_backward(*call, list(gradients))
    nothing = [None] * len(keep) if all(isinstance(k, Tensor) for k in keep) else None
    rates = [None] * len(ctx.rates) if not ctx.rates else None
    return None, dx, found[:weights], found[weights:], None, None, nothing, rates, None, None


interpreted.register_autograd(_differentiate, setup_context=_remember)
