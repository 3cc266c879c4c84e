"""The operator `recurra::interpreted`: what has no kernels, for whatever sees a graph.

Traced through, the loop over time would be unrolled, for one number of steps. As an operator it is
one node, for any. Its backward pass runs the layer once more, with autograd.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from recurra.ops.call import SCHEMA, Call
from recurra.ops.fused import fused_name, run_fused
from recurra.ops.operator import nothing
from recurra.ops.programs import named
from recurra.ops.reference import interpret
from recurra.ops.traced import refuse_for_onnx

#: The first fields of a call, which the operator takes: tokens and bfloat16 are the kernels'.
_FIELDS = SCHEMA.index("bool half")
_SCHEMA = ", ".join((*SCHEMA[:_FIELDS], "bool record"))


def run_interpreted(call: Call) -> Sequence[Tensor]:
    """Outputs and final states, by one node of a graph."""
    y, *last = interpreted(*_flat(call)[:_FIELDS], False)
    return [y, *([s[None] for s in last] if call.stacked else last)]


def record_interpreted(call: Call) -> Sequence[Tensor]:
    """Outputs, final states (B, ·), and all that is visible, for each of the program's names."""
    found: Sequence[Tensor] = interpreted(*_flat(call)[:_FIELDS], True)
    return found


def _flat(call: Call) -> Call:
    """The call without an axis of layers; that none of this needs the program is for compilers."""
    if len(call.initial) == 0 or not call.stacked:
        return call
    return call._replace(initial=[s[0] for s in call.initial])


@torch.library.custom_op("recurra::interpreted", mutates_args=(), schema=f"({_SCHEMA}) -> Tensor[]")
def interpreted(*given: Any) -> list[Tensor]:
    """Outputs, final states, and with `record` all that is visible; see `Call`."""
    *fields, record = given
    # What an operator returns is its own; a state that lags ends as another that came in.
    found = _run(Call(*fields).flat(), record)
    return [t.clone(memory_format=torch.contiguous_format) for t in found]


@interpreted.register_fake
def _(*given: Any) -> list[Tensor]:
    *fields, record = given
    call = Call(*fields)
    refuse_for_onnx(named(call.name))
    call = call.flat()
    x = call.x
    found = [x.new_empty(*x.shape[:2], call.initial[0].shape[-1])]
    found += [x.new_empty(s.shape) for s in call.initial]
    if record:
        one = call._replace(
            x=x.new_empty(1, *x.shape[1:]), valid=None, mask=None, keep=[], rates=[]
        )
        seen = _run(one, record)[len(found) :]
        found += [x.new_empty(*x.shape[:2], v.shape[-1]) for v in seen]
    return found


@torch.library.custom_op(
    "recurra::interpreted_backward",
    mutates_args=(),
    schema=f"({_SCHEMA}, Tensor[] gradients) -> Tensor[]",
)
def interpreted_backward(*given: Any) -> list[Tensor]:
    """Gradients by x, parameters and initial states."""
    *fields, record, gradients = given
    call = Call(*fields)
    with _differentiable():
        leaves = [t.detach().requires_grad_() for t in call.leaves]
        split = 1 + len(call.parameters)
        call = call._replace(x=leaves[0], parameters=leaves[1:split], initial=leaves[split:])
        found = torch.autograd.grad(
            _run(call.flat(), record), leaves, gradients, allow_unused=True, materialize_grads=True
        )
    return [g.contiguous() for g in found]


@interpreted_backward.register_fake
def _(*given: Any) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in Call(*given[:_FIELDS]).leaves]


@contextmanager
def _differentiable() -> Iterator[None]:
    """Record gradients, inside an operator too: in compiled graphs those run below autograd."""
    below = torch._C._dispatch_tls_local_exclude_set()
    autograd = torch._C.DispatchKeySet(torch._C.DispatchKey.AutogradFunctionality)
    here = torch._C._dispatch_tls_local_include_set(), below - autograd
    with torch._C._ForceDispatchKeyGuard(*here), torch.enable_grad():
        yield


def _run(call: Call, record: bool) -> Sequence[Tensor]:
    """The layer by torch's kernel where it has one, else by the reference."""
    noisy = call.mask is not None or any(k is not None for k in call.keep) or any(call.rates)
    theirs = fused_name(call.program) is not None
    if theirs and not (noisy or call.reverse or record) and call.x.shape[0]:
        return run_fused(call)
    run = interpret(call, record=record)
    return [run.outputs, *run.states, *run.visible.values()]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *fields, ctx.record = inputs
    call = Call(*fields)
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
    by = dx, found[:weights], found[weights:]
    return None, *by, None, None, nothing(keep), nothing(ctx.rates), None, None


interpreted.register_autograd(_differentiate, setup_context=_remember)
