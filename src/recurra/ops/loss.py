"""`token_losses`: the output layer of a language model with its loss, row by row.

Logits of N rows over V tokens are never held: the kernel makes them a chunk of tokens at a time,
forward and once more backward, where it turns them into gradients in the cache.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recurra import native
from recurra.errors import InputError
from recurra.ops.memory import empty
from recurra.ops.programs import on_kernels
from recurra.ops.readable import are_plain, check_together, plain_types, settled
from recurra.ops.threads import threads
from recurra.ops.watch import batched, special, traced


def token_losses(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    counted: Tensor | None = None,
    *,
    half: bool = False,
) -> Tensor:
    """Return -log softmax(W x + b)[target] of each row, in nats: (N).

    On the CPU in float32 and float64, with first gradients, by a kernel that needs no memory in
    proportion to N · V. A row's bits depend on nothing but that row, the weights and the
    instruction set. All else, and second gradients, `torch.func` and forward mode, is torch's
    `cross_entropy`. Under autocast on the CPU everything is cast to the dtype of the weights.

    Args:
        x: features (N, H).
        weight: W (V, H).
        bias: b (V), or None.
        targets: token ids (N), int64.
        counted: booleans (N): rows that count. The others have loss zero, and neither their
            features nor their targets are read.
        half: compute products in bfloat16; arguments, sums and gradients stay float32.

    Raises:
        InputError: shapes or dtypes that do not fit, or a target that is no token; `half` where
            the processor has no such products, or for another dtype than float32.
    """
    if torch.is_autocast_enabled("cpu"):
        x = x.to(weight.dtype)
    if not torch.compiler.is_compiling():
        check_together("token_losses", x, weight, bias, targets, counted)
    _check(x, weight, bias, targets, counted)
    if not _served(x, weight):
        if half:
            _check_half(weight)
        return _by_torch(x, weight, bias, targets, counted)
    leaves = [t for t in (x, weight, bias) if t is not None]
    if torch.compiler.is_compiling() or traced(x) or not plain_types(leaves):
        found: Tensor = token_losses_op(x, weight, bias, targets, counted, half)[0]
        return found
    if torch.is_grad_enabled() and any(t.requires_grad for t in leaves):
        function: Tensor = _TokenLosses.apply(x, weight, bias, targets, counted, half)
        return function
    return _forward(x, weight, bias, targets, counted, half)[0]


@torch.library.custom_op("recurra::token_losses", mutates_args=(), device_types="cpu")
def token_losses_op(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    counted: Tensor | None,
    half: bool,
) -> tuple[Tensor, Tensor]:
    """Losses (N), and what backward needs of them (N, 2)."""
    return _forward(x, weight, bias, targets, counted, half)


@token_losses_op.register_fake
def _(x, weight, bias, targets, counted, half):  # type: ignore[no-untyped-def]
    return x.new_empty(x.shape[:1]), x.new_empty(x.shape[0], 2)


@torch.library.custom_op("recurra::token_losses_backward", mutates_args=(), device_types="cpu")
def token_losses_backward_op(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    counted: Tensor | None,
    half: bool,
    spread: Tensor,
    dloss: Tensor,
    wanted: list[bool],
) -> list[Tensor]:
    """Gradients by x, weight and bias, those that are `wanted`."""
    return _backward(x, weight, bias, targets, counted, half, spread, dloss, wanted)


@token_losses_backward_op.register_fake
def _(x, weight, bias, targets, counted, half, spread, dloss, wanted):  # type: ignore[no-untyped-def]
    leaves = zip((x, weight, bias), wanted, strict=True)
    return [leaf.new_empty(leaf.shape) for leaf, w in leaves if w]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.half = inputs
    ctx.save_for_backward(*tensors, output[1])
    ctx.wanted = [t is not None and t.requires_grad for t in inputs[:3]]


def _differentiate(ctx: Any, dloss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    *inputs, spread = ctx.saved_tensors
    found = iter(token_losses_backward_op(*inputs, ctx.half, spread, dloss, ctx.wanted))
    return *(next(found) if w else None for w in ctx.wanted), None, None, None


token_losses_op.register_autograd(_differentiate, setup_context=_remember)


class _TokenLosses(torch.autograd.Function):
    """The operator where nothing looks on, without the cost of `torch.library` a call."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        loss, spread = _forward(*inputs)
        *tensors, ctx.half = inputs
        ctx.save_for_backward(*tensors, spread)
        return loss

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, targets, counted, spread = ctx.saved_tensors
        inputs, wanted = (x, weight, bias, targets, counted), ctx.needs_input_grad[:3]
        if torch.is_grad_enabled() or batched(dloss):
            found = iter(_gradients_by_torch(inputs, dloss, wanted))
        else:
            found = iter(_backward(*inputs, ctx.half, spread, dloss, wanted))
        return *(next(found) if w else None for w in wanted), None, None, None


def _forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    counted: Tensor | None,
    half: bool,
) -> tuple[Tensor, Tensor]:
    if half:
        _check_half(weight)
    inputs = _inputs(x, weight, bias, targets, counted, half)
    loss, spread = x.new_empty(len(targets)), x.new_empty(len(targets), 2)
    row = native.loss_forward(inputs, loss, spread)
    if row is not None:
        raise _no_token(row, int(targets[row]), len(weight))
    return loss, spread


def _backward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    counted: Tensor | None,
    half: bool,
    spread: Tensor,
    dloss: Tensor,
    wanted: Sequence[bool],
) -> list[Tensor]:
    inputs = _inputs(x, weight, bias, targets, counted, half)
    leaves = zip((x, weight, bias), wanted, strict=True)
    made = [empty(leaf.shape, leaf) if leaf is not None and w else None for leaf, w in leaves]
    dx, dweight, dbias = made
    (gradient,) = settled("token_losses", dloss)
    assert gradient is not None
    gradient = gradient.contiguous()
    native.loss_backward(inputs, spread, gradient, dx=dx, dweight=dweight, dbias=dbias)
    return [m for m in made if m is not None]


def _inputs(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    counted: Tensor | None,
    half: bool,
) -> native.LossInputs:
    if not are_plain(x, weight, bias, targets, counted):
        given: list[Any] = settled("token_losses", x, weight, bias, targets, counted)
        x, weight, bias, targets, counted = given
    return native.LossInputs(
        x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous(),
        weight.contiguous(),
        None if bias is None else bias.contiguous(),
        targets.contiguous(),
        None if counted is None else counted.contiguous(),
        native.at_most(threads(), 3.0 * targets.numel() * weight.numel()),
        half,
    )


def _by_torch(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, counted: Tensor | None
) -> Tensor:
    """The slow twin, on any device and dtype and differentiable at will."""
    if counted is not None:  # NaN in a row that does not count must not reach the weights
        x = x.masked_fill(~counted[:, None], 0)
        targets = targets.masked_fill(~counted, -1)
    if targets.device.type == "cpu" and not (torch.compiler.is_compiling() or batched(targets)):
        wrong = (targets < 0) | (targets >= len(weight))
        rows = torch.nonzero(wrong if counted is None else wrong & counted)
        if len(rows):
            raise _no_token(int(rows[0]), int(targets[rows[0]]), len(weight))
    logits = functional.linear(x, weight, bias)
    return functional.cross_entropy(logits, targets, reduction="none", ignore_index=-1)


def _gradients_by_torch(
    inputs: Sequence[Any], dloss: Tensor, wanted: Sequence[bool]
) -> Sequence[Tensor]:
    """Gradients that can be differentiated again."""
    with torch.enable_grad():
        loss = _by_torch(*inputs)
        leaves = [leaf for leaf, w in zip(inputs, wanted, strict=False) if w]
        return torch.autograd.grad(loss, leaves, dloss, create_graph=True)


def _served(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel can do what is asked of it: values, and first gradients."""
    if not (on_kernels(weight) and x.shape[-1]):
        return False
    if torch.compiler.is_compiling():  # where no warning can be given
        return native.available()
    return native.usable() and not special()


def _check(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, counted: Tensor | None
) -> None:
    """Refuse what would read beyond an array, or take its bits for other numbers."""
    rows, tokens = x.shape[:1], weight.shape[:1]
    fits = x.ndim == weight.ndim == 2 and x.shape[1] == weight.shape[1] and x.dtype == weight.dtype
    if bias is not None:
        fits &= bias.shape == tokens and bias.dtype == weight.dtype
    fits &= targets.shape == rows and targets.dtype == torch.int64
    if counted is not None:
        fits &= counted.shape == rows and counted.dtype == torch.bool
    if not fits:
        shown = ", ".join(
            "None" if t is None else f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}"
            for t in (x, weight, bias, targets, counted)
        )
        raise InputError(
            "token_losses: expected features (N, H), weights (V, H) and a bias (V) of one dtype, "
            f"int64 targets (N) and booleans (N) for the rows that count; received {shown}"
        )


def _check_half(weight: Tensor) -> None:
    """Refuse to compute something else in silence."""
    found = native.half_products() or "none"
    dtype = f"{str(weight.dtype).removeprefix('torch.')} on {weight.device.type}"
    if found == "none" or dtype != "float32 on cpu" or special():
        raise InputError(
            "token_losses: expected for products in bfloat16 float32 on a processor with AMX or "
            f"AVX512-BF16, outside torch.func, received {dtype} and {found}: use half=False"
        )


def _no_token(row: int, target: int, tokens: int) -> InputError:
    return InputError(
        f"token_losses: row {row}: expected a target from 0 to {tokens - 1}, received {target}"
    )
