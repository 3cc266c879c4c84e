"""`embedding`: rows of a matrix, with the gradient added where another use of it has left its own.

torch makes a gradient as large as the matrix for the few rows that were read, fills it with zeros,
and adds it to that of a tied output layer: for 33,278 tokens of 200 features three passes over
27 MB, of memory that is new to the process each time.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recurra.ops.memory import empty
from recurra.ops.programs import on_kernels
from recurra.ops.readable import are_plain
from recurra.ops.watch import batched, special, traced


def embedding(tokens: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of some tokens, and the weight for its other use, if it has one.

    The gradient by the second result goes through here: it must be that use's own, since rows are
    added to it in place. A use of `weight` itself is as good, and slower.

    Args:
        tokens: ids of any shape (...).
        weight: (V, E).

    Returns:
        Rows (..., E), and `weight`.
    """
    watched = torch.compiler.is_compiling() or special() or traced(weight)
    if watched or not (on_kernels(weight) and weight.requires_grad and torch.is_grad_enabled()):
        return functional.embedding(tokens, weight), weight
    rows, passed = _Embedding.apply(tokens, weight)
    return rows, passed


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(tokens)
        ctx.shape = weight.shape
        ctx.set_materialize_grads(False)
        return functional.embedding(tokens, weight), weight.view_as(weight)

    @staticmethod
    def backward(
        ctx: Any, drows: Tensor | None, dweight: Tensor | None
    ) -> tuple[None, Tensor | None]:
        if drows is None:
            return None, dweight
        tokens, drows = ctx.saved_tensors[0].flatten(), drows.flatten(0, -2)
        if torch.is_grad_enabled() or batched(drows, dweight):
            start = drows.new_zeros(ctx.shape) if dweight is None else dweight
            return None, start.index_add(0, tokens, drows)
        if dweight is None:
            dweight = empty(ctx.shape, drows).zero_()
        elif not (are_plain(dweight) and dweight.is_contiguous()):  # one number for many, say
            dweight = dweight.clone(memory_format=torch.contiguous_format)
        return None, dweight.index_add_(0, tokens, drows)
