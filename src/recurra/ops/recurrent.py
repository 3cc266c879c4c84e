"""`recurrent`: one direction of one layer of any cell; on the kernels, or by the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional

from recurra import native
from recurra.cells import Program
from recurra.errors import InputError
from recurra.ops import operator
from recurra.ops.arguments import (
    Arguments,
    kernel_name,
    named,
    on_kernels,
    packed,
    program_name,
    unpacked,
)
from recurra.ops.fit import fitted, no_half
from recurra.ops.interpreted import interpreted
from recurra.ops.kept import MOST_ROWS, KeptWeights
from recurra.ops.kernel import backward, forward
from recurra.ops.output import keep, kept
from recurra.ops.readable import check_together, plain_types
from recurra.ops.traced import in_a_trace, recorded_by_jit, refuse_for_onnx
from recurra.ops.watch import batched, eager, traced
from recurra.reference import Interpreter, Run

__all__ = ["Noise", "kernel_name", "named", "on_kernels", "program_name", "recurrent", "reference"]


@dataclass(frozen=True, slots=True)
class Noise:
    """What a direction of a layer draws for one call; all off by default.

    recurrent_mask: factors (B, R) on what enters a recurrent product (recurrent dropout).
    keep: per state, the share of its old value that stays: a number or factors (T, B, ·) (zoneout).
    """

    recurrent_mask: Tensor | None = None
    keep: tuple[Tensor | float | None, ...] | None = None

    def __bool__(self) -> bool:
        return self.recurrent_mask is not None or self.keep is not None


@dataclass(frozen=True, slots=True)
class Lookup:
    """An input that tokens choose: at step t row b reads `rows[tokens[t, b]]`.

    It has as much of a tensor as layers ask for.

    rows: (V, I), an embedding, say. tokens: int64 (T, B).
    """

    rows: Tensor
    tokens: Tensor

    @property
    def shape(self) -> torch.Size:
        """T, B, I."""
        return torch.Size((*self.tokens.shape, self.rows.shape[1]))

    @property
    def device(self) -> torch.device:
        """Where the tokens are."""
        return self.tokens.device

    def dim(self) -> int:
        """Return 3."""
        return 1 + self.tokens.dim()

    def transpose(self, first: int, second: int) -> "Lookup":
        """Return the same with T and B exchanged."""
        return Lookup(self.rows, self.tokens.transpose(first, second))

    def unsqueeze(self, axis: int) -> "Lookup":
        """Return tokens (T,) as (T, 1)."""
        return Lookup(self.rows, self.tokens.unsqueeze(axis))

    def new_zeros(self, *shape: int) -> Tensor:
        """Return zeros of the dtype of the rows."""
        return self.rows.new_zeros(*shape)

    def dense(self) -> Tensor:
        """Return the input itself, (T, B, I)."""
        try:
            return functional.embedding(self.tokens, self.rows)
        except IndexError as error:
            last = len(self.rows) - 1
            raise InputError(f"tokens: expected numbers from 0 to {last}") from error


def reference(
    program: Program,
    weights: Mapping[str, Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    *,
    valid: Tensor | None = None,
    reverse: bool = False,
    noise: Noise = Noise(),
    record: bool = False,
) -> Run:
    """Run one direction of one layer by the reference; shapes as in `Interpreter.run`.

    The final states are copies, which may be written to: the graph reads those of the last step.
    """
    run = Interpreter(program, weights).run(
        x,
        states,
        valid=valid,
        reverse=reverse,
        recurrent_mask=noise.recurrent_mask,
        keep=noise.keep,
        record=record,
    )
    return Run(run.outputs, tuple(s.clone() for s in run.states), run.visible)


def recurrent(
    program: Program,
    weights: Mapping[str, Tensor],
    x: Tensor | Lookup,
    states: Sequence[Tensor],
    *,
    kernel: str | None,
    name: str | None = None,
    valid: Tensor | None = None,
    reverse: bool = False,
    noise: Noise = Noise(),
    half: bool = False,
) -> Run:
    """Run one direction of one layer.

    The kernels serve tensors of float32 and float64 on the CPU, with first gradients. Second
    gradients, forward-mode differentiation, `torch.func` and gradients by the noise are the
    reference's. Under autocast on the CPU everything is cast to the dtype of the weights: bfloat16
    products would be slower here, and the states lose what makes them last.

    Args:
        program: the cell.
        weights: by name, of the shapes of `program.parameters`.
        x: inputs (T, B, I), or what chooses them. Where there are many more steps than rows to
            choose from, their products with the weights are computed once a row.
        states: initial states (B, R) and (B, H), in the order of `program.states`.
        kernel: what `kernel_name` says of the program; None: the reference.
        name: what `program_name` says of it: with it, what compiles or exports sees one operator
            where there are no kernels; without, the steps of the reference.
        valid: booleans (T, B): which steps count; at others states wait, outputs are zero.
        reverse: from the last step to the first.
        noise: dropout and zoneout, drawn beforehand.
        half: compute products in bfloat16, sums in float32.

    Returns:
        Outputs (T, B, R) and the final states. `observed` tells more.

    Raises:
        InputError: dtypes differ, a shape does not fit, or `half` where it cannot be had.
    """
    parameters = [weights[p.name] for p in program.parameters]
    served = kernel is not None and _served(parameters[0], noise)
    if half and not (served and parameters[0].dtype == torch.float32):
        raise not_in_half(program, parameters[0])
    refuse_for_onnx(program)
    if recorded_by_jit() and (given := kernel or name) is not None:
        x = x.dense() if isinstance(x, Lookup) else x
        options = noise, reverse, half
        return in_a_trace(given, parameters, x, states, valid, *options)
    tokens = None
    if isinstance(x, Lookup):
        if not torch.compiler.is_compiling():
            check_together("tokens and their rows", x.rows, x.tokens, parameters[0])
        if served and _pays(program, x, len(parameters[0])):
            x, tokens = x.rows, x.tokens
        else:
            x = x.dense()
    if kernel is not None and torch.is_autocast_enabled("cpu"):
        dtype = parameters[0].dtype
        x, states = x.to(dtype), [s.to(dtype) for s in states]
    if not served or kernel is None:
        if torch.compiler.is_compiling() and name is not None:
            return as_operator(
                name, program, parameters, x, states, valid=valid, reverse=reverse, noise=noise
            )
        if not torch.compiler.is_compiling():
            check_together(f"recurrent ({program.cell})", x, *parameters, *states, valid)
        return reference(
            program,
            weights,
            x,
            states,
            valid=valid,
            reverse=reverse,
            noise=noise,
        )
    keep, rates = _shares(noise)
    mask = noise.recurrent_mask
    call = Arguments(kernel, x, parameters, states, valid, mask, keep, rates, reverse, half, tokens)
    if torch.compiler.is_compiling() or traced(x):
        found = operator.recurrent(*call, _saves(call))
    else:
        found = _eagerly(call)
    return Run(found[0], tuple(found[1 : 1 + len(states)]), {})


def straight(x: Tensor, weight: Tensor | None) -> bool:
    """Whether `recurrent` would run such tensors on the kernels as they are, unseen by a tracer."""
    return (
        weight is not None
        and on_kernels(weight)
        and eager(x)
        and not torch.is_autocast_enabled("cpu")
    )


def plain(
    kernel: str,
    x: Tensor,
    parameters: Sequence[Tensor],
    states: Sequence[Tensor],
    *,
    reverse: bool,
    valid: Tensor | None = None,
    kept: KeptWeights | None = None,
) -> Sequence[Tensor]:
    """`recurrent` with nothing special about it, for short calls: where `straight` says so.

    Args:
        kernel, x, reverse, valid: as for `recurrent`.
        parameters: in the order of `program.parameters`.
        states: initial states (1, B, ·); none: zeros.
        kept: where ordered weights are kept between calls of few steps.

    Returns:
        Outputs (T, B, R), and the final states (1, B, ·).

    Raises:
        InputError: as `recurrent`.
    """
    ordered = None
    # A compiler may come here alone: what is kept is no part of its graph.
    if kept is not None and not torch.compiler.is_compiling():
        few = x.shape[0] * x.shape[1] <= MOST_ROWS
        ordered = kept.ordered(kernel, parameters) if few else None
    return _eagerly(Arguments(kernel, x, parameters, states, valid, None, (), (), reverse), ordered)


def _eagerly(call: Arguments, ordered: Any = None) -> Sequence[Tensor]:
    """Outputs and final states, and the gradient's function behind them where one is wanted.

    A compiler may come here alone, past those who ask whether one is there; and a weight or a state
    may be of a class that computes by itself.
    """
    leaves = (call.x, *call.parameters, *call.initial)
    if torch.compiler.is_compiling() or not plain_types(leaves):
        saves = _saves(call)
        found = operator.recurrent(*call, saves)
        return found[:-1] if saves else found
    if not _saves(call):
        return forward(call, save=False, ordered=ordered)[0]
    # Past what `Function.apply` does before: it looks for `torch.func`, which is not at work here.
    apply = super(torch.autograd.Function, _Recurrent).apply
    results: tuple[Tensor, ...] = apply((call, ordered), *leaves)
    return results


def _saves(call: Arguments) -> bool:
    leaves = (call.x, *call.parameters, *call.initial)
    return torch.is_grad_enabled() and any([t.requires_grad for t in leaves])


def as_operator(
    name: str,
    program: Program,
    parameters: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    *,
    valid: Tensor | None,
    reverse: bool,
    noise: Noise,
    record: bool = False,
) -> Run:
    """Run `recurra::interpreted`: `reference` as one node of a graph, for any number of steps."""
    keep, rates = _shares(noise)
    given = (name, x, list(parameters), list(states), valid, noise.recurrent_mask, keep, rates)
    y, *found = interpreted(*given, reverse, record)
    split = len(program.states)
    names = [n for n, _ in program.visible] if record else []
    return Run(y, tuple(found[:split]), dict(zip(names, found[split:], strict=True)))


class _Recurrent(torch.autograd.Function):
    """The operator where nothing looks on: a tenth of its cost a call."""

    @staticmethod
    def forward(ctx: Any, given: tuple[Arguments, Any], *leaves: Tensor) -> tuple[Tensor, ...]:
        call, ordered = given
        found, saved, reads = forward(call, save=True, ordered=ordered)
        ctx.set_materialize_grads(False)
        tensors, ctx.fixed = packed(call, keep(ctx, found[0] if reads else None), saved)
        ctx.save_for_backward(*tensors)
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dlast: Tensor | None) -> tuple[Tensor | None, ...]:
        call, y, saved = unpacked(ctx.saved_tensors, ctx.fixed)
        wanted = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or batched(dy, *dlast):
            given = iter(_gradients_by_reference(call, dy, dlast, wanted))
            return None, *(next(given) if w else None for w in wanted)
        y = kept(ctx, y, lambda: forward(call, save=False)[0][0])
        return None, *backward(call, y, saved, dy, dlast, wanted)


#: Values of the products of a lookup's rows from which on they would not stay in a cache.
_TABLE = 1 << 22


def _pays(program: Program, x: Lookup, gates: int) -> bool:
    """Whether the products of the rows are fewer than those of the steps, and can be had."""
    if program.option("norm") or torch.compiler.is_compiling() or traced(x.rows):
        return False
    return 2 * len(x.rows) <= x.tokens.numel() and len(x.rows) * gates <= _TABLE


def _gradients_by_reference(
    call: Arguments, dy: Tensor | None, dlast: Sequence[Tensor | None], wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients that can be differentiated again: the layer runs once more, by the reference."""
    program = named(call.name)
    if call.half:
        raise not_in_half(program, call.parameters[0])
    weights = {p.name: w for p, w in zip(program.parameters, call.parameters, strict=True)}
    shares = [r if k is None else k for k, r in zip(call.keep, call.rates, strict=True)]
    with torch.enable_grad():
        initial = call.initial or [call.x.new_zeros(*shape) for shape in fitted(call).states]
        run = reference(
            program,
            weights,
            call.x if call.tokens is None else Lookup(call.x, call.tokens).dense(),
            [s[0] for s in initial] if call.stacked else initial,
            valid=call.valid,
            reverse=call.reverse,
            noise=Noise(call.mask, tuple(shares)),
        )
        final = [s[None] for s in run.states] if call.stacked else run.states
        pairs = zip((run.outputs, *final), (dy, *dlast), strict=True)
        outputs, gradients = zip(*[(o, d) for o, d in pairs if d is not None], strict=True)
        leaves = [call.x, *call.parameters, *call.initial]
        return torch.autograd.grad(
            outputs,
            [v for v, w in zip(leaves, wanted, strict=True) if w],
            gradients,
            create_graph=True,
            allow_unused=True,
        )


def not_in_half(program: Program, weight: Tensor) -> InputError:
    """Return the error of products in bfloat16 that cannot be had, which says why."""
    if missing := native.without_half(program):
        received = missing
    elif not on_kernels(weight) or weight.dtype != torch.float32:
        received = f"{str(weight.dtype).removeprefix('torch.')} weights on {weight.device}"
    else:
        received = "a call for the reference (torch.func, forward mode, second gradients)"
    return no_half(received)


def _served(weight: Tensor, noise: Noise) -> bool:
    """Whether the kernels can do what is asked of them: values, and first gradients."""
    if not on_kernels(weight):
        return False
    if torch.compiler.is_compiling():
        return True
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return False
    drawn = (noise.recurrent_mask, *(noise.keep or ()))
    return not any(isinstance(d, Tensor) and d.requires_grad for d in drawn)


def _shares(noise: Noise) -> tuple[list[Tensor | None], list[float]]:
    """Zoneout as factors where there are, and numbers where not."""
    keep = [share if isinstance(share, Tensor) else None for share in noise.keep or ()]
    rates = [share if isinstance(share, float) else 0.0 for share in noise.keep or ()]
    return keep, rates
