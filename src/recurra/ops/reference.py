"""The reference over torch tensors: the slow twin of every other way, and its own where none is."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.ops.call import Call
from recurra.reference import Interpreter, Run, Tap


def run_reference(call: Call) -> Sequence[Tensor]:
    """Outputs (T, B, R) and final states, differentiable by everything, as often as wanted.

    The final states are copies, which may be written to: the graph reads those of the last step.
    """
    run = interpret(call.flat())
    if call.stacked:
        return [run.outputs, *(s[None].clone() for s in run.states)]
    return [run.outputs, *(s.clone() for s in run.states)]


def interpret(call: Call, *, record: bool = False, tap: Tap | None = None) -> Run:
    """Run a flat call by the interpreter; `record` and `tap` as there."""
    program = call.program
    return Interpreter(
        program, {p.name: w for p, w in zip(program.parameters, call.parameters, strict=True)}
    ).run(
        call.x,
        call.initial,
        valid=call.valid,
        reverse=call.reverse,
        recurrent_mask=call.mask,
        keep=call.shares or None,
        record=record,
        tap=tap,
        reset=call.reset,
        start=call.start,
    )


def gradients(
    call: Call, dy: Tensor | None, dlast: Sequence[Tensor | None], wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients that can be differentiated again: the layer runs once more.

    Args:
        call: of which they are.
        dy, dlast: dL/d(outputs) and by the final states.
        wanted: for each of `call.leaves`, whether there is to be one.
    """
    with torch.enable_grad():
        results = run_reference(call)
        pairs = [(r, d) for r, d in zip(results, (dy, *dlast), strict=True) if d is not None]
        found = torch.autograd.grad(
            [r for r, _ in pairs],
            [v for v, w in zip(call.leaves, wanted, strict=True) if w],
            [d for _, d in pairs],
            create_graph=True,
            allow_unused=True,
        )
    rest = iter(found)
    return tuple([next(rest) if w else None for w in wanted])
