"""Whether the arrays of a call fit each other: asked once for each combination of shapes."""

from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import native
from recurra.errors import InputError
from recurra.ops.call import Call
from recurra.ops.programs import DTYPES, named, on_kernels


class Fit(NamedTuple):
    """What calls of the same shapes share.

    Attributes:
        forward, backward: the kernels: see `native.sized`.
        saved: elements that forward leaves for backward.
        reads_output: whether backward reads the outputs, too.
        outputs: the shape (T, B, R).
        states: shapes of the final states.
    """

    forward: Any
    backward: Any
    saved: int
    reads_output: bool
    outputs: tuple[int, ...]
    states: tuple[tuple[int, ...], ...]


def fitted(call: Call) -> Fit:
    """Refuse what would read or write beyond an array, or take its bits for other numbers.

    Raises:
        InputError: a shape or a dtype does not fit, or there are no products in bfloat16.
    """
    noise = (call.valid, call.mask, *call.keep)
    tokens = call.tokens
    found = _fitted(
        call.name,
        len(call.initial),
        tuple(map(_kind, (call.x, *call.parameters, *call.initial))),
        tuple([None if a is None else _kind(a) for a in noise]),
        None if tokens is None else tokens.shape,
        tuple(call.rates),
        call.reverse,
        call.half,
    )
    if call.reset is not None:
        _check_resets(call, found)
    if tokens is not None:
        _check_tokens(tokens, len(call.x))
    return found


#: Of a tensor: what of it must fit.
Kind = tuple[torch.Size, torch.dtype, bool]
_kind = attrgetter("shape", "dtype", "is_cpu")


@native.for_one_isa
def _fitted(
    name: str,
    states: int,
    arrays: tuple[Kind, ...],
    noise: tuple[Kind | None, ...],
    tokens: torch.Size | None,
    rates: tuple[float, ...],
    reverse: bool,
    half: bool,
) -> Fit:
    """Arguments as `fitted` makes them; `states` is how many initial states there are."""
    program = named(name)
    # A layer may have been made elsewhere, or for another instruction set.
    if half and (missing := native.without_half(program)):
        raise no_half(missing)
    x, dtype, _ = arrays[0]
    valid, *drawn = noise
    where = f"recurrent ({program.cell})"
    steps, batch = (x if tokens is None else tokens)[:2]
    hidden, recurrent = (max(1, n) for n in program.widths([a[0] for a in arrays[1:]]))
    widths = [recurrent, *[hidden] * (len(program.states) - 1)]
    projection = recurrent if any(p.name == "weight_hr" for p in program.parameters) else 0
    sizes = {"inputs": max(1, x[-1]), "hidden": hidden, "projection": projection}
    stacked = not states or len(arrays[-1][0]) == 3
    final = [(1, batch, w) if stacked else (batch, w) for w in widths]
    expected = [p.shape(gates=len(program.gates), **sizes) for p in program.parameters]
    expected += final[:states]
    pairs = [*zip(arrays[1:], expected, strict=False)]
    shapes = [(batch, recurrent), *((steps, batch, w) for w in widths)]
    pairs += [(a, s) for a, s in zip(drawn, shapes, strict=False) if a is not None]
    fits = len(arrays) - 1 == len(expected) and states in (0, len(widths))
    if not fits or any(a[:2] != (s, dtype) for a, s in pairs):
        raise InputError(
            f"{where}: expected with the input {_name(dtype)} {tuple(x)} "
            "weights, states and noise of that dtype and shapes "
            f"{', '.join(str(s) for _, s in pairs)}; received "
            f"{', '.join(f'{_name(d)} {tuple(s)}' for (s, d, _), _ in pairs)}"
        )
    if valid is not None and valid[:2] != ((steps, batch), torch.bool):
        raise InputError(
            f"{where}: expected booleans {(steps, batch)} for the steps that "
            f"count, received {_name(valid[1])} {tuple(valid[0])}"
        )
    everything = [*arrays, *(a for a in noise if a is not None)]
    if dtype not in DTYPES or not all(cpu for *_, cpu in everything):
        raise InputError(
            f"{where}: expected all arrays on the CPU, of float32 or float64; received an input of "
            f"{_name(dtype)}, and {sum(not cpu for *_, cpu in everything)} arrays elsewhere"
        )
    run = native.sized(
        program,
        [steps, batch, x[-1], hidden, projection, *(() if tokens is None else (x[0],))],
        double=dtype == torch.float64,
        reverse=reverse,
        half=half,
        masked=valid is not None,
        rates=rates,
        factors=[a is not None for a in drawn[1:]],
    )
    reads = native.reads_output(run)
    # Functions, not the object that has them: a compiler that goes on after it gave up would call
    # the object's methods without the object.
    return Fit(
        run.forward, run.backward, run.saved_size, reads, (steps, batch, recurrent), tuple(final)
    )


def no_half(received: str) -> InputError:
    """Return the error of products in bfloat16 that cannot be had, where that is what there is."""
    return InputError(
        "precision bf16: expected float32 weights on a CPU with bfloat16 products, in eager or "
        f"compiled mode; received {received}: use precision float32"
    )


def not_in_half(call: Call) -> InputError:
    """Return the error of a call whose products cannot be had in bfloat16, which says why."""
    weight = call.parameters[0]
    if missing := native.without_half(call.program):
        received = missing
    elif not on_kernels(weight) or weight.dtype != torch.float32:
        received = f"{_name(weight.dtype)} weights on {weight.device}"
    else:
        received = "a call for the reference (torch.func, forward mode, second gradients)"
    return no_half(received)


def _check_tokens(tokens: Tensor, symbols: int) -> None:
    if tokens.dtype != torch.int64:
        raise InputError(f"tokens: expected int64, received {_name(tokens.dtype)}: use .long()")
    if tokens.numel():
        low, high = (int(v) for v in tokens.aminmax())
        if low < 0 or high >= symbols:
            raise InputError(
                f"tokens: expected numbers from 0 to {symbols - 1}, received {low} to {high}"
            )


def _check_resets(call: Call, fit: Fit) -> None:
    where, steps, reset = f"recurrent ({call.program.cell})", fit.outputs[:2], call.reset
    assert reset is not None
    if reset.shape != steps or reset.dtype != torch.bool or not reset.is_cpu:
        raise InputError(
            f"{where}: expected booleans {tuple(steps)} on the CPU for the steps before which a "
            f"row begins anew, received {_name(reset.dtype)} {tuple(reset.shape)}"
        )
    dtype, shapes = call.x.dtype, [*fit.states] if call.start else []
    if [(s.shape, s.dtype, s.is_cpu) for s in call.start] != [(s, dtype, True) for s in shapes]:
        raise InputError(
            f"{where}: expected {_name(dtype)} states {', '.join(map(str, shapes))} on the CPU for "
            "rows that begin anew, received "
            f"{', '.join(f'{_name(s.dtype)} {tuple(s.shape)}' for s in call.start)}"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
