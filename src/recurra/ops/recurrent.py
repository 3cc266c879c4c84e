"""`recurrent`: one direction of one layer of any cell; on the kernels, or by the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.cells import Program
from recurra.ops import operator
from recurra.ops.kernel import (
    Arguments,
    backward,
    forward,
    kernel_name,
    named,
    packed,
    unpacked,
)
from recurra.ops.watch import batched, traced
from recurra.reference import Interpreter, Run

__all__ = ["Noise", "kernel_name", "on_kernels", "recurrent", "reference"]


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
    """Run one direction of one layer by the reference; shapes as in `Interpreter.run`."""
    return Interpreter(program, weights).run(
        x,
        states,
        valid=valid,
        reverse=reverse,
        recurrent_mask=noise.recurrent_mask,
        keep=noise.keep,
        record=record,
    )


def recurrent(
    program: Program,
    weights: Mapping[str, Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    *,
    kernel: str | None,
    valid: Tensor | None = None,
    reverse: bool = False,
    noise: Noise = Noise(),
    record: bool = False,
) -> Run:
    """Run one direction of one layer.

    The kernels serve tensors of float32 and float64 on the CPU, with first gradients. Second
    gradients, forward-mode differentiation, `torch.func` and gradients by the noise are the
    reference's. Under autocast on the CPU everything is cast to the dtype of the weights: bfloat16
    products would be slower here, and the states lose what makes them last.

    Args:
        program: the cell.
        weights: by name, of the shapes of `program.parameters`.
        x: inputs (T, B, I).
        states: initial states (B, R) and (B, H), in the order of `program.states`.
        kernel: what `kernel_name` says of the program; None: the reference.
        valid: booleans (T, B): which steps count; at others states wait, outputs are zero.
        reverse: from the last step to the first.
        noise: dropout and zoneout, drawn beforehand.
        record: also return every named value of the cell at every step, which the reference does.

    Returns:
        Outputs (T, B, R), the final states, and what was recorded.

    Raises:
        InputError: dtypes differ, or a shape does not fit.
    """
    parameters = [weights[p.name] for p in program.parameters]
    if kernel is not None and torch.is_autocast_enabled("cpu"):
        dtype = parameters[0].dtype
        x, states = x.to(dtype), [s.to(dtype) for s in states]
    if kernel is None or record or not _served(parameters[0], noise):
        return reference(
            program,
            weights,
            x,
            states,
            valid=valid,
            reverse=reverse,
            noise=noise,
            record=record,
        )
    keep, rates = _shares(noise)
    mask = noise.recurrent_mask
    call = Arguments(kernel, x, parameters, states, valid, mask, keep, rates, reverse)
    save = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *parameters, *states))
    found: Sequence[Tensor]
    if torch.compiler.is_compiling() or traced(x):
        found = operator.recurrent(*call, save)
    elif save:
        found = _Recurrent.apply(call, x, *parameters, *states)
    else:
        found = forward(call, save=False)
    return Run(found[0], tuple(found[1 : 1 + len(states)]), {})


class _Recurrent(torch.autograd.Function):
    """The operator where nothing looks on: a tenth of its cost a call."""

    @staticmethod
    def forward(ctx: Any, call: Arguments, *leaves: Tensor) -> tuple[Tensor, ...]:
        *found, saved = forward(call, save=True)
        ctx.set_materialize_grads(False)
        tensors, ctx.fixed = packed(call, found[0], saved)
        ctx.save_for_backward(*tensors)
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dlast: Tensor | None) -> tuple[Tensor | None, ...]:
        call, y, saved = unpacked(ctx.saved_tensors, ctx.fixed)
        wanted = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or batched(dy, *dlast):
            found: Sequence[Tensor | None] = _gradients_by_reference(call, dy, dlast, wanted)
        else:
            found = backward(call, y, saved, dy, dlast, wanted)
        given = iter(found)
        return None, *(next(given) if w else None for w in wanted)


def _gradients_by_reference(
    call: Arguments, dy: Tensor | None, dlast: Sequence[Tensor | None], wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients that can be differentiated again: the layer runs once more, by the reference."""
    program = named(call.name)
    weights = {p.name: w for p, w in zip(program.parameters, call.parameters, strict=True)}
    shares = [r if k is None else k for k, r in zip(call.keep, call.rates, strict=True)]
    with torch.enable_grad():
        run = reference(
            program,
            weights,
            call.x,
            call.initial,
            valid=call.valid,
            reverse=call.reverse,
            noise=Noise(call.mask, tuple(shares)),
        )
        pairs = zip((run.outputs, *run.states), (dy, *dlast), strict=True)
        outputs, gradients = zip(*[(o, d) for o, d in pairs if d is not None], strict=True)
        leaves = [call.x, *call.parameters, *call.initial]
        return torch.autograd.grad(
            outputs,
            [v for v, w in zip(leaves, wanted, strict=True) if w],
            gradients,
            create_graph=True,
            allow_unused=True,
        )


def on_kernels(weight: Tensor) -> bool:
    """Whether layers with such weights run on the kernels: float32 or float64 on the CPU."""
    return weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)


#: oneDNN trains a float32 LSTM of at least so many rows and fewer than so many units faster.
_TORCH_ROWS, _TORCH_UNITS = 8, 512


def faster_by_torch(name: str | None, x: Tensor, hidden: int) -> bool:
    """Whether torch's kernel `name` trains on inputs x (T, B, I) faster than ours.

    Measured in whole training steps (docs/decisions/007). Only in plain eager mode: compilers, and
    `torch.func`, see our operator.
    """
    if name != "lstm" or x.dtype != torch.float32 or torch.compiler.is_compiling():
        return False
    fits = x.shape[1] >= _TORCH_ROWS and hidden < _TORCH_UNITS
    if not (fits and torch.is_grad_enabled() and torch.backends.mkldnn.is_available()):
        return False
    special = torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
    return not (special or traced(x))


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
