"""`recorded`: a direction of a layer that shows its inside: gates, states, and their gradients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program
from recurra.errors import InputError
from recurra.ops import kernel
from recurra.ops.call import Call, packed, unpacked
from recurra.ops.direct import run_direct
from recurra.ops.fit import not_in_half
from recurra.ops.interpreted import record_interpreted
from recurra.ops.output import keep, kept
from recurra.ops.reference import interpret
from recurra.ops.route import route
from recurra.ops.watch import batched, eager
from recurra.reference import Run

#: Receives dL/d(state) by the state's name, (T, B, ·), once in every backward pass.
Watch = Callable[[Mapping[str, Tensor]], None]


def recorded(call: Call, *, record: bool = False, watch: Watch | None = None) -> Run:
    """Run a call and look at it.

    What the kernels keep for their backward pass is what there is to see, so that looking costs
    copies. The reference does it where they keep less, under compilers and `torch.func`, and where
    gradients flow back through what was recorded.

    Args:
        call: as for `route`.
        record: also return every named value of the cell at every step, (T, B, ·): states as the
            equations give them, before zoneout; zeros at steps that do not count.
        watch: see `Watch`. The gradient by a state after a step is the total one: it counts what
            the step's output adds and all that flows back from later steps. At steps that do not
            count it is zero. The noise is held fixed.

    Returns:
        Outputs (T, B, R), final states (B, ·), and what was recorded.

    Raises:
        InputError: as `route`; or `watch` in other than plain eager mode.
    """
    way, call = route(call.flat())
    program, direct = call.program, way is run_direct
    if call.half and not direct:
        raise not_in_half(call)
    if watch is None and not direct:
        if not torch.compiler.is_compiling():
            run = interpret(call, record=record)
            return Run(run.outputs, tuple(s.clone() for s in run.states), run.visible)
        names = tuple(name for name, _ in program.visible) if record else ()
        found = record_interpreted(call) if record else way(call)
    else:
        if not eager(call.x):
            raise InputError(
                "gradients by the states: expected a layer in plain eager mode, received one under "
                "a compiler, an exporter or torch.func: watch it there"
            )
        seen = _Recorded(program, call, record, watch, direct)
        found = _Recording.apply(seen, *call.leaves)
        names = seen.names
    split = 1 + len(program.states)
    return Run(found[0], tuple(found[1:split]), dict(zip(names, found[split:], strict=True)))


@dataclass
class _Recorded:
    """One call, `direct` on the kernels; `names` of what it recorded are there after it."""

    program: Program
    call: Call
    record: bool
    watch: Watch | None
    direct: bool
    names: tuple[str, ...] = ()


class _Recording(torch.autograd.Function):
    """Outputs, final states and recorded values, differentiable by all that went in."""

    @staticmethod
    def forward(ctx: Any, seen: _Recorded, *leaves: Tensor) -> tuple[Tensor, ...]:
        call, saved, visible = seen.call, None, None
        if seen.direct:
            (y, *last), saved, _ = kernel.forward(call, save=True)
            assert saved is not None
            visible = kernel.recorded(call, y, saved) if seen.record else {}
        if visible is None and call.half:
            raise not_in_half(call)
        if visible is None:
            run = interpret(call, record=seen.record)
            visible = run.visible
            if not seen.direct:
                y, last = run.outputs.clone(), [s.clone() for s in run.states]
        seen.names = tuple(visible)
        ctx.set_materialize_grads(False)
        ctx.program, ctx.watch, ctx.direct = seen.program, seen.watch, seen.direct
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
            raise not_in_half(call)
        if not ctx.direct or by_reference:
            found, dstates = _gradients(call, gradients, wanted)
        else:
            dy, *dlast = gradients[:split]
            y = kept(ctx, y, lambda: kernel.forward(call, save=False)[0][0])
            assert y is not None
            room = [y.new_zeros(*y.shape[:2], native.padded(s.shape[1])) for s in call.initial]
            room = room if ctx.watch else []
            found = kernel.backward(call, y, saved, dy, dlast, wanted, room)
            if ctx.watch:
                dstates = [d[..., : s.shape[1]] for d, s in zip(room, call.initial, strict=True)]
                dstates = _totals(ctx.program, call, kernel.states_before(call, y, saved), dstates)
        if ctx.watch:
            ctx.watch(dict(zip(ctx.program.states, dstates, strict=True)))
        return None, *found


def _totals(
    program: Program, call: Call, before: Sequence[Tensor], gradients: list[Tensor]
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
            reset=None,
            start=[],
        )
        interpret(at_once, tap=tap)
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


def _gradients(
    call: Call, gradients: Sequence[Tensor | None], wanted: Sequence[bool]
) -> tuple[list[Tensor | None], list[Tensor]]:
    """Gradients by what is wanted, and by the states: the layer once more, by the reference."""
    again = torch.is_grad_enabled()
    steps: list[list[Tensor]] = []

    def tap(states: Sequence[Tensor]) -> Sequence[Tensor]:
        steps.append(list(states))
        return states

    with torch.enable_grad():
        run = interpret(call, record=True, tap=tap)
        results = (run.outputs, *run.states, *run.visible.values())
        pairs = [(r, g) for r, g in zip(results, gradients, strict=False) if g is not None]
        pairs = [(r, g) for r, g in pairs if r.requires_grad]
        given = zip(call.leaves, wanted, strict=True)
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
