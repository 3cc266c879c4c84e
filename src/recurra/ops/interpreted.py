"""The operator `recurra::interpreted`: what has no kernels, for whatever sees a graph.

Traced through, the loop over time would be unrolled, for one number of steps. As an operator it is
one node, for any. Its backward pass runs the layer once more, with autograd.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

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
from recurra.ops.fused import fused_name, run_fused
from recurra.ops.operator import nothing
from recurra.ops.programs import named
from recurra.ops.reference import interpret
from recurra.ops.traced import refuse_for_onnx

#: The fields of a call that the operator takes: bfloat16 and tokens are the kernels'.
_KERNELS = slice(SCHEMA.index("bool half"), SCHEMA.index("Tensor? tokens") + 1)
_FIELDS = (*SCHEMA[: _KERNELS.start], *SCHEMA[_KERNELS.stop :])
_SCHEMA = ", ".join((*_FIELDS[:-2], "bool record", *LATER))
#: Fields before `record`.
_COUNT = len(_FIELDS) - 2


def run_interpreted(call: Call) -> Sequence[Tensor]:
    """Outputs and final states, by one node of a graph."""
    y, *last = interpreted(*arguments(_fields(call), False))
    return [y, *([s[None] for s in last] if call.stacked else last)]


def record_interpreted(call: Call) -> Sequence[Tensor]:
    """Outputs, final states (B, ·), and all that is visible, for each of the program's names."""
    found: Sequence[Tensor] = interpreted(*arguments(_fields(call), True))
    return found


def _fields(call: Call) -> tuple[Any, ...]:
    """What the operator takes: without an axis of layers.

    That none of this needs the program is for compilers.
    """
    if call.stacked:
        initial, start = [s[0] for s in call.initial], [s[0] for s in call.start]
        call = call._replace(initial=initial, start=start)
    fields = call.fields
    return *fields[: _KERNELS.start], *fields[_KERNELS.stop :]


def _call(fields: Sequence[Any]) -> Call:
    *most, reset, start = fields
    return Call(*most)._replace(reset=reset, start=start)


@torch.library.custom_op("recurra::interpreted", mutates_args=(), schema=f"({_SCHEMA}) -> Tensor[]")
def interpreted(*given: Any) -> list[Tensor]:
    """Outputs, final states, and with `record` all that is visible; see `Call`."""
    fields, record = read_arguments(given, _COUNT)
    # What an operator returns is its own; a state that lags ends as another that came in.
    found = _run(_call(fields).flat(), record)
    return [t.clone(memory_format=torch.contiguous_format) for t in found]


@interpreted.register_fake
def _(*given: Any) -> list[Tensor]:
    fields, record = read_arguments(given, _COUNT)
    call = _call(fields)
    refuse_for_onnx(named(call.name))
    call = call.flat()
    x = call.x
    found = [x.new_empty(*x.shape[:2], call.initial[0].shape[-1])]
    found += [x.new_empty(s.shape) for s in call.initial]
    if record:
        one = call._replace(
            x=x.new_empty(1, *x.shape[1:]),
            valid=None,
            mask=None,
            keep=[],
            rates=[],
            reset=None,
            start=[],
        )
        seen = _run(one, record)[len(found) :]
        found += [x.new_empty(*x.shape[:2], v.shape[-1]) for v in seen]
    return found


@torch.library.custom_op(
    "recurra::interpreted_backward",
    mutates_args=(),
    schema=f"({', '.join(_FIELDS)}, bool record, Tensor[] gradients) -> Tensor[]",
)
def interpreted_backward(*given: Any) -> list[Tensor]:
    """Gradients by x, parameters, initial states and starts."""
    *fields, record, gradients = given
    call = _call(fields)
    with _differentiable():
        leaves = [t.detach().requires_grad_() for t in call.leaves]
        one = 1 + len(call.parameters)
        two = one + len(call.initial)
        by = {"x": leaves[0], "parameters": leaves[1:one], "initial": leaves[one:two]}
        call = call._replace(**by, start=leaves[two:])
        found = torch.autograd.grad(
            _run(call.flat(), record), leaves, gradients, allow_unused=True, materialize_grads=True
        )
    return [g.contiguous() for g in found]


@interpreted_backward.register_fake
def _(*given: Any) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in _call(given[: len(_FIELDS)]).leaves]


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
    noisy = noisy or call.reset is not None
    theirs = fused_name(call.program) is not None
    if theirs and not (noisy or call.reverse or record) and call.x.shape[0]:
        return run_fused(call)
    run = interpret(call, record=record)
    return [run.outputs, *run.states, *run.visible.values()]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    fields, ctx.record = read_arguments(inputs, _COUNT)
    tensors, ctx.fixed = packed(_call(fields), None, None)
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    call, _, _ = unpacked(ctx.saved_tensors, ctx.fixed)
    dx, *found = interpreted_backward(*_fields(call), ctx.record, list(gradients))
    one, two = len(call.parameters), len(call.parameters) + len(call.initial)
    by = None, dx, found[:one], found[one:two]
    noise = None, None, nothing(call.keep), nothing(call.rates)
    # Past reverse and record.
    return *by, *noise, None, None, *later_gradients(call, found[two:])


interpreted.register_autograd(_differentiate, setup_context=_remember)
