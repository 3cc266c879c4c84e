"""One direction of one layer on the fused kernels, as flat lists of tensors: forward and gradients.

What `Arguments` holds is what the operator and its backward operator take. Nothing here is
differentiable: that is the business of `operator.py` and `recurrent.py`.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program, find
from recurra.errors import InputError

#: Elements from which on fresh memory from the system costs more than asking for it elsewhere.
_LARGE = 1 << 16

# torch's threads are there already: see `native.share_threads`.
native.share_threads(str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so"))


class Arguments(NamedTuple):
    """Of one call.

    Attributes:
        name: of the program, as `kernel_name` gives it.
        x: inputs (T, B, I).
        parameters: in the order of `program.parameters`.
        initial: per state (B, R) or (B, H).
        valid: booleans (T, B), or None.
        mask: factors (B, R) on what enters a recurrent product, or None.
        keep: per state factors (T, B, ·), the share of the old state that stays, or None; empty
            where there are none.
        rates: per state that share as a number, where `keep` has None.
        reverse: from the last step to the first.
        half: products in bfloat16.
        tokens: int64 (T, B): the input at a step is that row of x, which is (V, I); or None.
    """

    name: str
    x: Tensor
    parameters: Sequence[Tensor]
    initial: Sequence[Tensor]
    valid: Tensor | None
    mask: Tensor | None
    keep: Sequence[Tensor | None]
    rates: Sequence[float]
    reverse: bool
    half: bool = False
    tokens: Tensor | None = None

    @property
    def steps(self) -> torch.Size:
        """T and B."""
        return (self.x if self.tokens is None else self.tokens).shape[:2]


#: Programs that have a name here, also after their definition was replaced by another.
_named: dict[str, Program] = {}


def program_name(program: Program) -> str | None:
    """Return a name of the program; None for a cell that no other process would find either.

    Any process can read the name that has the cell's definition. It holds a digest of the equations
    where they are a user's, who may change them and keep the cell's name.
    """
    try:
        defined = find(program.cell).program(**dict(program.options))
    except InputError:
        return None
    if defined != program:
        return None
    parts: list[Any] = [program.cell, dict(program.options)]
    own = not native.built_in(program)
    name = json.dumps([*parts, _digest(program)] if own else parts)
    _named[name] = program
    return name


def kernel_name(program: Program, weight: Tensor | None = None) -> str | None:
    """Return the program's name, or None without kernels for it.

    Args:
        program: the program.
        weight: one that it will run with; kernels are not compiled for one they do not run on.
    """
    own = not native.built_in(program)
    if own and weight is not None and not on_kernels(weight):
        return None
    name = program_name(program)
    return None if name is None or native.find(program) is None else name


def named(name: str) -> Program:
    """Return the program of that name.

    Raises:
        InputError: its cell is not defined here, or by other equations.
    """
    if name not in _named:
        cell, options, *digest = json.loads(name)
        program = find(cell).program(**options)
        if digest and digest != [_digest(program)]:
            raise InputError(
                f"cell {cell!r}: expected the equations that this was made with, and the "
                "definition here has others: import the right one"
            )
        _named[name] = program
    return _named[name]


def on_kernels(weight: Tensor) -> bool:
    """Whether layers with such weights run on the kernels: float32 or float64 on the CPU."""
    return weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)


def _digest(program: Program) -> str:
    meaning = (program.states, program.gates, program.nodes, program.next, program.parameters)
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]


def no_half(received: str) -> InputError:
    """Return the error of products in bfloat16 that cannot be had, where that is what there is."""
    return InputError(
        "precision bf16: expected float32 weights on a CPU with bfloat16 products, in eager or "
        f"compiled mode; received {received}: use precision float32"
    )


def forward(call: Arguments, *, save: bool) -> list[Tensor]:
    """Return outputs (T, B, R), the final state of each kind, and what backward needs if `save`."""
    inputs = _inputs(call)
    x = inputs.x
    y = _empty((*call.steps, call.initial[0].shape[-1]), x)
    last = [x.new_empty(s.shape) for s in call.initial]
    saved = _empty((native.saved_size(inputs),), x) if save else None
    native.forward(inputs, y, last, saved=saved)
    return [y, *last] if saved is None else [y, *last, saved]


def backward(
    call: Arguments,
    y: Tensor,
    saved: Tensor,
    dy: Tensor | None,
    dlast: Sequence[Tensor | None],
    wanted: Sequence[bool],
    dstates: Sequence[Tensor] = (),
) -> list[Tensor]:
    """Return the gradients by x, each parameter and each initial state, of those `wanted`.

    `dstates`, where given, are written: see `native.backward`.
    """
    inputs = _inputs(call)
    count = len(inputs.parameters)
    made = [_empty_like(inputs.x) if wanted[0] else None]
    made += [
        _zeros_like(p) if w else None
        for p, w in zip(inputs.parameters, wanted[1 : 1 + count], strict=True)
    ]
    made += [
        torch.empty_like(s, memory_format=torch.contiguous_format) if w else None
        for s, w in zip(call.initial, wanted[1 + count :], strict=True)
    ]
    native.backward(
        inputs,
        y,
        saved,
        None if dy is None else _rows(dy),
        [None if d is None else d.contiguous() for d in dlast],
        dx=made[0],
        dparameters=made[1 : 1 + count],
        dinitial=made[1 + count :],
        dstates=dstates,
    )
    return [m for m in made if m is not None]


def recorded(call: Arguments, y: Tensor, saved: Tensor) -> dict[str, Tensor] | None:
    """Return copies (T, B, ·) of all that the cell names, zeros at steps that do not count.

    `y` and `saved` are those of `forward`; None: the kernels do not keep all of it.
    """
    found = native.recorded(_inputs(call), y, saved)
    if found is None or call.valid is None:
        return None if found is None else {name: v.clone() for name, v in found.items()}
    waits = call.valid.logical_not()[..., None]
    return {name: v.masked_fill(waits, 0) for name, v in found.items()}


def states_before(call: Arguments, y: Tensor, saved: Tensor) -> list[Tensor]:
    """Return the states that each step started from, (T, B, ·)."""
    found = []
    for state, initial in zip(native.states(_inputs(call), y, saved), call.initial, strict=True):
        order = [state[1:], initial[None]] if call.reverse else [initial[None], state[:-1]]
        found.append(torch.cat(order)[: len(state)])
    return found


def saved_size(call: Arguments) -> int:
    """Return the size of what forward saves for backward, also for tensors without storage.

    Everything saved is a step's and a row's own, so that one of each tells the size of all.
    """
    program = named(call.name)
    one = native.Inputs(
        program,
        torch.empty(1, 1, 1, dtype=call.x.dtype),
        [torch.empty(p.shape, dtype=p.dtype) for p in call.parameters[:2]],
        (),
        valid=None if call.valid is None else torch.ones(1, 1, dtype=torch.bool),
        keep=[1.0 if k is not None else r for k, r in zip(call.keep, call.rates, strict=True)],
    )
    return call.steps[0] * call.steps[1] * native.saved_size(one)


def packed(
    call: Arguments, y: Tensor, saved: Tensor
) -> tuple[tuple[Tensor | None, ...], tuple[Any, ...]]:
    """Return all a backward pass needs, as tensors for autograd to keep, and the rest."""
    tensors = (*call.parameters, *call.initial, *call.keep, call.valid, call.mask, call.tokens)
    counts = len(call.parameters), len(call.initial), len(call.keep)
    fixed = (call.name, list(call.rates), call.reverse, call.half, counts)
    return (*tensors, call.x, y, saved), fixed


def unpacked(tensors: Sequence[Any], fixed: tuple[Any, ...]) -> tuple[Arguments, Tensor, Tensor]:
    """Return what went into `packed`."""
    name, rates, reverse, half, counts = fixed
    given = iter(tensors)
    parameters, initial, keep = (list(islice(given, count)) for count in counts)
    valid, mask, tokens, x, y, saved = given
    noise = valid, mask, keep, rates
    call = Arguments(name, x, parameters, initial, *noise, reverse, half, tokens)
    return call, y, saved


def _inputs(call: Arguments) -> native.Inputs:
    program = named(call.name)
    parameters = [p.contiguous() for p in call.parameters]
    # A layer may have been made elsewhere, or for another instruction set.
    if call.half and (missing := native.without_half(program)):
        raise no_half(missing)
    _check(call, program)
    return native.Inputs(
        program,
        _rows(call.x),
        parameters,
        [s.contiguous() for s in call.initial],
        None if call.valid is None else call.valid.contiguous(),
        None if call.mask is None else call.mask.contiguous(),
        [
            rate if share is None else share.contiguous()
            for share, rate in zip(call.keep, call.rates, strict=True)
        ],
        call.reverse,
        -torch.get_num_threads(),
        call.half,
        None if call.tokens is None else call.tokens.contiguous(),
    )


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """Memory to write to; where it is large, from what the kernels keep between calls."""
    if math.prod(shape) < _LARGE:
        return like.new_empty(shape)
    return torch.from_numpy(native.empty(*shape, double=like.dtype == torch.float64))


def _zeros_like(array: Tensor) -> Tensor:
    """Zeros, side by side."""
    if array.numel() < _LARGE:
        return torch.zeros_like(array)
    return _empty(array.shape, array).zero_()


def _empty_like(array: Tensor) -> Tensor:
    """The same for memory laid out as `array`, with time or batch outermost."""
    if array.is_contiguous():
        return _empty(array.shape, array)
    turned = array.transpose(0, 1)
    if turned.is_contiguous():
        return _empty(turned.shape, array).transpose(0, 1)
    return torch.empty_like(array)


def _rows(array: Tensor) -> Tensor:
    """The same values with units side by side."""
    return array if array.stride(-1) == 1 or array.shape[-1] == 1 else array.contiguous()


def _check(call: Arguments, program: Program) -> None:
    """Refuse what would read or write beyond an array, or take its bits for other numbers."""
    (steps, batch), features = call.steps, call.x.shape[-1]
    hidden, recurrent = (
        call.parameters[0].shape[0] // len(program.gates),
        call.parameters[1].shape[1],
    )
    given = [*call.parameters, *call.initial]
    shapes = _shapes(program, features, hidden, recurrent, batch)
    if call.mask is not None or any(share is not None for share in call.keep):
        states = shapes[len(call.parameters) :]
        noise = [(call.mask, states[0])]
        noise += [(k, (steps, *s)) for k, s in zip(call.keep, states, strict=False)]
        drawn = [(array, shape) for array, shape in noise if array is not None]
        given, shapes = [*given, *(a for a, _ in drawn)], (*shapes, *(s for _, s in drawn))
    dtype = call.x.dtype
    if tuple(g.shape for g in given) != shapes or {g.dtype for g in given} != {dtype}:
        shown = ", ".join(f"{_dtype(g)} {tuple(g.shape)}" for g in given)
        raise InputError(
            f"recurrent ({program.cell}): expected with the input {_dtype(call.x)} "
            f"{tuple(call.x.shape)} weights, states and noise of that dtype and shapes "
            f"{', '.join(map(str, shapes))}; received {shown}"
        )
    if call.tokens is not None:
        _check_tokens(call.tokens, len(call.x))
    valid = call.valid
    if valid is not None and (valid.dtype != torch.bool or valid.shape != (steps, batch)):
        raise InputError(
            f"recurrent ({program.cell}): expected booleans {(steps, batch)} for the steps that "
            f"count, received {_dtype(valid)} {tuple(valid.shape)}"
        )


def _check_tokens(tokens: Tensor, symbols: int) -> None:
    if tokens.dtype != torch.int64:
        raise InputError(f"tokens: expected int64, received {_dtype(tokens)}: use .long()")
    if tokens.numel():
        low, high = (int(v) for v in tokens.aminmax())
        if low < 0 or high >= symbols:
            raise InputError(
                f"tokens: expected numbers from 0 to {symbols - 1}, received {low} to {high}"
            )


@lru_cache(maxsize=256)
def _shapes(
    program: Program, features: int, hidden: int, recurrent: int, batch: int
) -> tuple[tuple[int, ...], ...]:
    """Of the parameters, and of the initial states."""
    sizes = {"inputs": features, "hidden": hidden}
    projection = recurrent if any(p.name == "weight_hr" for p in program.parameters) else 0
    states = [(batch, recurrent), *[(batch, hidden)] * (len(program.states) - 1)]
    return (
        *(
            p.shape(gates=len(program.gates), **sizes, projection=projection)
            for p in program.parameters
        ),
        *states,
    )


def _dtype(array: Tensor) -> str:
    return str(array.dtype).removeprefix("torch.")
