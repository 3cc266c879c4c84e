"""`observed`: a direction of a layer that shows its inside: gates, states, and their gradients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program
from recurra.errors import InputError
from recurra.ops import kernel as kernels
from recurra.ops.arguments import Arguments, packed, unpacked
from recurra.ops.output import keep, kept
from recurra.ops.recurrent import (
    Lookup,
    Noise,
    _served,
    _shares,
    as_operator,
    not_in_half,
    reference,
)
from recurra.ops.watch import batched, eager
from recurra.reference import Interpreter, Run, Tap

#: Receives dL/d(state) by the state's name, (T, B, ·), once in every backward pass.
Watch = Callable[[Mapping[str, Tensor]], None]


def observed(
    program: Program,
    weights: Mapping[str, Tensor],
    x: Tensor | Lookup,
    states: Sequence[Tensor],
    *,
    kernel: str | None,
    name: str | None = None,
    valid: Tensor | None = None,
    reverse: bool = False,
    noise: Noise,
    record: bool = False,
    watch: Watch | None = None,
    half: bool = False,
) -> Run:
    """Run one direction of one layer, as `recurrent` does, and look at it.

    What the kernels keep for their backward pass is what there is to see, so that looking costs
    copies. The reference does it where they keep less, under compilers and `torch.func`, and where
    gradients flow back through what was recorded.

    Args:
        program, weights, x, states, kernel, name, valid, reverse, noise, half: as for `recurrent`.
        record: also return every named value of the cell at every step, (T, B, ·): states as the
            equations give them, before zoneout; zeros at steps that do not count.
        watch: see `Watch`. The gradient by a state after a step is the total one: it counts what
            the step's output adds and all that flows back from later steps. At steps that do not
            count it is zero. The noise is held fixed.

    Raises:
        InputError: as `recurrent`; or `watch` in other than plain eager mode.
    """
    parameters = [weights[p.name] for p in program.parameters]
    x = x.dense() if isinstance(x, Lookup) else x
    if kernel is not None and torch.is_autocast_enabled("cpu"):
        dtype = parameters[0].dtype
        x, states = x.to(dtype), [s.to(dtype) for s in states]
    served = kernel is not None and _served(parameters[0], noise) and eager(x)
    if half and not (served and parameters[0].dtype == torch.float32):
        raise not_in_half(program, parameters[0])
    if watch is None and not served and torch.compiler.is_compiling() and name is not None:
        given = (name, program, parameters, x, states)
        return as_operator(*given, valid=valid, reverse=reverse, noise=noise, record=record)
    if watch is None and not served:
        return reference(
            program, weights, x, states, valid=valid, reverse=reverse, noise=noise, record=record
        )
    if not eager(x):
        raise InputError(
            "gradients by the states: expected a layer in plain eager mode, received one under "
            "a compiler, an exporter or torch.func: watch it there"
        )
    keep, rates = _shares(noise)
    mask = noise.recurrent_mask
    called = kernel if served and kernel is not None else ""
    call = Arguments(called, x, parameters, states, valid, mask, keep, rates, reverse, half)
    seen = _Observation(program, call, record, watch)
    outputs, *rest = _Observed.apply(seen, x, *parameters, *states)
    split = len(program.states)
    return Run(outputs, tuple(rest[:split]), dict(zip(seen.names, rest[split:], strict=True)))


@dataclass
class _Observation:
    """One call; `names` of what it recorded are there after it."""

    program: Program
    call: Arguments
    record: bool
    watch: Watch | None
    names: tuple[str, ...] = ()


class _Observed(torch.autograd.Function):
    """Outputs, final states and recorded values, differentiable by all that went in."""

    @staticmethod
    def forward(ctx: Any, seen: _Observation, *leaves: Tensor) -> tuple[Tensor, ...]:
        call, saved, visible = seen.call, None, None
        if call.name:
            (y, *last), saved, _ = kernels.forward(call, save=True)
            assert saved is not None
            visible = kernels.recorded(call, y, saved) if seen.record else {}
        if visible is None and call.half:
            raise not_in_half(seen.program, call.parameters[0])
        if visible is None:
            run = _by_reference(seen.program, call, record=seen.record)
            visible = run.visible
            if not call.name:
                y, last = run.outputs.clone(), [s.clone() for s in run.states]
        seen.names = tuple(visible)
        ctx.set_materialize_grads(False)
        ctx.program, ctx.watch = seen.program, seen.watch
        tensors, ctx.fixed = packed(call, keep(ctx, y), saved)
        ctx.save_for_backward(*tensors)
        return y, *last, *visible.values()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        call, y, saved = unpacked(ctx.saved_tensors, ctx.fixed)
        wanted = ctx.needs_input_grad[1:]
        split = 1 + len(call.initial)
        through_records = any(g is not None for g in gradients[split:])
        by_reference = through_records or torch.is_grad_enabled() or batched(*gradients)
        if by_reference and call.half:
            raise not_in_half(ctx.program, call.parameters[0])
        if not call.name or by_reference:
            found, dstates = _gradients(ctx.program, call, gradients, wanted)
        else:
            dy, *dlast = gradients[:split]
            y = kept(ctx, y, lambda: kernels.forward(call, save=False)[0][0])
            assert y is not None
            room = [y.new_zeros(*y.shape[:2], _padded(s.shape[1])) for s in call.initial]
            room = room if ctx.watch else []
            found = kernels.backward(call, y, saved, dy, dlast, wanted, room)
            if ctx.watch:
                dstates = [d[..., : s.shape[1]] for d, s in zip(room, call.initial, strict=True)]
                dstates = _totals(ctx.program, call, kernels.states_before(call, y, saved), dstates)
        if ctx.watch:
            ctx.watch(dict(zip(ctx.program.states, dstates, strict=True)))
        return None, *found


def _totals(
    program: Program, call: Arguments, before: Sequence[Tensor], gradients: list[Tensor]
) -> list[Tensor]:
    """Add to the gradients by states what these give to one another within a step.

    The kernels' are those by a state as it goes on: that an LSTM's c makes its h is missing. Where
    states do so, all steps run once more, side by side.
    """
    steps, rows = call.x.shape[0], call.x.shape[0] * call.x.shape[1]
    if not rows or not any(_within_step(program)):
        return gradients

    def flat(v: Tensor) -> Tensor:
        return v.detach().reshape(1, rows, *v.shape[2:])

    after: list[Tensor] = []

    def tap(states: Sequence[Tensor]) -> Sequence[Tensor]:
        after.extend(states)
        return states

    with torch.enable_grad():
        at_once = call._replace(
            x=flat(call.x).requires_grad_(),
            parameters=[p.detach() for p in call.parameters],
            initial=[flat(s)[0].requires_grad_() for s in before],
            valid=None if call.valid is None else flat(call.valid),
            mask=None if call.mask is None else call.mask.repeat(steps, 1),
            keep=[None if k is None else flat(k) for k in call.keep],
            reverse=False,
        )
        _by_reference(program, at_once, record=False, tap=tap)
        reached = [k for k, s in enumerate(after) if s.requires_grad]
        states = [after[k] for k in reached]
        found = torch.autograd.grad(states, states, [flat(gradients[k])[0] for k in reached])
    totals = list(gradients)
    for k, gradient in zip(reached, found, strict=True):
        totals[k] = gradient.reshape(gradients[k].shape)
    return totals


def _within_step(program: Program) -> list[bool]:
    """By state, whether the new value of another one depends on its new value."""
    found = []
    for k, start in enumerate(program.next):
        reached = {start}
        for index in range(start, len(program.nodes)):
            if reached.intersection(program.nodes[index].args):
                reached.add(index)
        others = program.next[:k] + program.next[k + 1 :]
        found.append(bool(reached.intersection(others)))
    return found


def _by_reference(
    program: Program, call: Arguments, *, record: bool, tap: Tap | None = None
) -> Run:
    weights = {p.name: w for p, w in zip(program.parameters, call.parameters, strict=True)}
    shares = [r if k is None else k for k, r in zip(call.keep, call.rates, strict=True)]
    return Interpreter(program, weights).run(
        call.x,
        call.initial,
        valid=call.valid,
        reverse=call.reverse,
        recurrent_mask=call.mask,
        keep=shares,
        record=record,
        tap=tap,
    )


def _gradients(
    program: Program,
    call: Arguments,
    gradients: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> tuple[list[Tensor | None], list[Tensor]]:
    """Gradients by what is wanted, and by the states: the layer once more, by the reference."""
    again = torch.is_grad_enabled()
    steps: list[list[Tensor]] = []

    def tap(states: Sequence[Tensor]) -> Sequence[Tensor]:
        steps.append(list(states))
        return states

    with torch.enable_grad():
        run = _by_reference(program, call, record=True, tap=tap)
        results = (run.outputs, *run.states, *run.visible.values())
        pairs = [(r, g) for r, g in zip(results, gradients, strict=False) if g is not None]
        pairs = [(r, g) for r, g in pairs if r.requires_grad]
        given = zip((call.x, *call.parameters, *call.initial), wanted, strict=True)
        leaves = [v for v, w in given if w]
        reached = [s for states in steps for s in states if s.requires_grad]
        found = torch.autograd.grad(
            [r for r, _ in pairs],
            [*leaves, *reached],
            [g for _, g in pairs],
            create_graph=again,
            allow_unused=True,
        )
    rest = iter(found)
    first = [next(rest) if w else None for w in wanted]
    by_step = [[next(rest) if s.requires_grad else None for s in states] for states in steps]
    if call.reverse:
        by_step.reverse()
    dstates = []
    for k, initial in enumerate(call.initial):
        dstates.append(initial.new_zeros(len(by_step), *initial.shape))
        for t, at_step in enumerate(by_step):
            if (gradient := at_step[k]) is not None:
                dstates[k][t] = gradient.detach()
    return first, dstates


def _padded(units: int) -> int:
    return -(-units // native.PAD) * native.PAD
