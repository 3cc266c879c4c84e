"""One direction of one layer on the fused kernels, as flat lists of tensors: forward and gradients.

Nothing here is differentiable: that is the business of `operator.py` and `direct.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recurra import native
from recurra.errors import InputError
from recurra.ops.call import Call
from recurra.ops.fit import Fit, fitted
from recurra.ops.memory import LARGE, empty
from recurra.ops.readable import settled
from recurra.ops.threads import threads

# torch's threads are there already: see `native.share_threads`.
native.share_threads(str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so"))


#: Outputs (T, B, R) and the final state of each kind; what backward needs, or None; and what calls
#: of these shapes share, such as whether backward reads the outputs, too.
Forward = tuple[list[Tensor], Tensor | None, Fit]


def forward(call: Call, *, save: bool, room: bool = False, ordered: Any = None) -> Forward:
    """Run the layer; with `save` for a backward pass.

    With `room` what is saved ends with space for the outputs, where backward reads them. `ordered`
    is what `KeptWeights.ordered` says of the parameters.
    """
    try:
        fit, x = fitted(call), call.x
        y = empty(fit.outputs, x)
        last = [x.new_empty(*shape) for shape in fit.states]  # of a tuple it takes twice as long
        size = fit.saved + y.numel() if room and fit.reads_output else fit.saved
        saved = empty((size,), x) if save else None
        fit.forward(
            x,
            call.parameters,
            call.initial,
            y,
            last,
            saved,
            call.valid,
            call.mask,
            call.keep,
            call.tokens,
            -threads(),
            ordered,
            call.reset,
            call.start,
        )
    except Exception:
        if (plain := _settled(call)) is None:
            raise
        return forward(plain, save=save, room=room)
    return [y, *last], saved, fit


def backward(
    call: Call,
    y: Tensor | None,
    saved: Tensor,
    dy: Tensor | None,
    dlast: Sequence[Tensor | None],
    wanted: Sequence[bool],
    dstates: Sequence[Tensor] = (),
    fit: Fit | None = None,
) -> list[Tensor | None]:
    """Return the gradients by each of `call.leaves`, None where not `wanted`.

    `y` and `saved` are those of `forward`; `y` may be None where it is not read.
    `dstates`, where given, are written: see `native.backward`. `fit` is that of the forward call,
    where the tensors are still the same ones.
    """
    try:
        return _backward(call, y, saved, dy, dlast, wanted, dstates, fit)
    except Exception:
        plain, given = _settled(call), settled("recurrent", dy, *dlast)
        if plain is None and all(a is b for a, b in zip(given, (dy, *dlast), strict=True)):
            raise
    return _backward(plain or call, y, saved, given[0], given[1:], wanted, dstates)


def _backward(
    call: Call,
    y: Tensor | None,
    saved: Tensor,
    dy: Tensor | None,
    dlast: Sequence[Tensor | None],
    wanted: Sequence[bool],
    dstates: Sequence[Tensor],
    fit: Fit | None = None,
) -> list[Tensor | None]:
    fit, (first, *rest) = fit or fitted(call), wanted
    wrong = saved.numel() != fit.saved or saved.dtype != call.x.dtype
    if y is None:
        wrong |= fit.reads_output
    else:
        wrong |= y.shape != fit.outputs or y.dtype != call.x.dtype
    if wrong:
        received = "no outputs" if y is None else f"outputs {y.dtype} {tuple(y.shape)}"
        raise InputError(
            "recurrent: expected for the backward pass what the forward pass saved, received "
            f"{received} and {saved.dtype} {tuple(saved.shape)}: hooks of saved "
            "tensors must give back what they were given"
        )
    if y is not None and y.stride(-1) != 1:  # hooks of saved tensors may lay them out otherwise
        y = y.contiguous()
    dx = _empty_like(call.x) if first else None
    dparameters = [_beside(p) if w else None for p, w in zip(call.parameters, rest, strict=False)]
    dinitial = [
        torch.empty_like(s, memory_format=torch.contiguous_format) if w else None
        for s, w in zip((*call.initial, *call.start), rest[len(call.parameters) :], strict=True)
    ]
    split = len(call.initial)
    count = -threads()
    fit.backward(
        call.x,
        call.parameters,
        call.initial,
        y,
        saved,
        dy,
        dlast,
        dx,
        dparameters,
        dinitial[:split],
        dstates,
        call.valid,
        call.mask,
        call.keep,
        call.tokens,
        count,
        True,
        call.reset,
        call.start,
        dinitial[split:],
    )
    return [dx, *dparameters, *dinitial]


def _settled(call: Call) -> Call | None:
    """Return the call with tensors whose memory holds their values; None where it is such a call.

    Asked of calls that failed alone: the binding refuses what it cannot read, which costs less.
    """
    one, two = len(call.parameters), len(call.parameters) + len(call.initial)
    three = two + len(call.start)
    given = (
        *call.parameters,
        *call.initial,
        *call.start,
        call.x,
        call.valid,
        call.mask,
        call.tokens,
        call.reset,
        *call.keep,
    )
    plain = settled(f"recurrent ({call.program.cell})", *given)
    if all(a is b for a, b in zip(given, plain, strict=True)):
        return None
    x, valid, mask, tokens, reset, *keep = plain[three:]
    assert x is not None
    return call._replace(
        x=x,
        parameters=[p for p in plain[:one] if p is not None],
        initial=[s for s in plain[one:two] if s is not None],
        valid=valid,
        mask=mask,
        tokens=tokens,
        keep=keep,
        reset=reset,
        start=[s for s in plain[two:three] if s is not None],
    )


def recorded(call: Call, y: Tensor, saved: Tensor) -> dict[str, Tensor] | None:
    """Return copies (T, B, ·) of all that the cell names, zeros at steps that do not count.

    `y` and `saved` are those of `forward`; None: the kernels do not keep all of it.
    """
    found = native.recorded(_inputs(call), y, saved)
    if found is None or call.valid is None:
        return None if found is None else {name: v.clone() for name, v in found.items()}
    waits = call.valid.logical_not()[..., None]
    return {name: v.masked_fill(waits, 0) for name, v in found.items()}


def states_before(call: Call, y: Tensor, saved: Tensor) -> list[Tensor]:
    """Return the states that each step started from, (T, B, ·)."""
    found = []
    for state, initial in zip(native.states(_inputs(call), y, saved), call.initial, strict=True):
        order = [state[1:], initial[None]] if call.reverse else [initial[None], state[:-1]]
        found.append(torch.cat(order)[: len(state)])
    if call.reset is None:
        return found
    start = call.start or [torch.zeros_like(s) for s in call.initial]
    anew = call.reset[..., None]
    return [torch.where(anew, s, state) for s, state in zip(start, found, strict=True)]


def saved_size(call: Call) -> tuple[int, bool]:
    """Return the size of what forward saves for backward, and whether that reads the outputs.

    Also for tensors without storage.
    Everything saved is a step's and a row's own, so that one of each tells the size of all.
    """
    one = native.Inputs(
        call.program,
        torch.empty(1, 1, 1, dtype=call.x.dtype),
        [torch.empty(p.shape, dtype=p.dtype) for p in call.parameters[:2]],
        (),
        valid=None if call.valid is None else torch.ones(1, 1, dtype=torch.bool),
        keep=[1.0 if k is not None else r for k, r in zip(call.keep, call.rates, strict=True)],
    )
    run = native.sized_for(one)
    return call.steps[0] * call.steps[1] * run.saved_size, native.reads_output(run)


def _inputs(call: Call) -> native.Inputs:
    """The call for whoever looks into what it saved."""
    fitted(call)
    noise = call.valid, call.mask, call.shares
    return native.Inputs(call.program, call.x, call.parameters, call.initial, *noise, call.reverse)


def _beside(like: Tensor) -> Tensor:
    """Memory for as many elements side by side."""
    if like.numel() < LARGE:
        return torch.empty_like(like, memory_format=torch.contiguous_format)
    return empty(like.shape, like)


def _empty_like(array: Tensor) -> Tensor:
    """Memory laid out as an input (T, B, I) with time or batch outermost, and else contiguous."""
    if array.is_contiguous():
        return _beside(array)
    if array.dim() == 3:
        turned = array.transpose(0, 1)
        if turned.is_contiguous():
            return empty(turned.shape, array).transpose(0, 1)
    return empty(array.shape, array)
