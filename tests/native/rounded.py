"""Products with arguments and weights rounded to bfloat16, and all else exact: the judge of `half`.

Gradients too are rounded where they enter a product, and nowhere else.
"""

from typing import Any

import torch
from torch import Tensor


def rounded(values: Tensor) -> Tensor:
    """Return the nearest numbers of bfloat16, in the dtype given."""
    return values.float().bfloat16().to(values.dtype)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(rounded(v), rounded(weight))
        return rounded(v) @ rounded(weight).T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        v, weight = ctx.saved_tensors
        gradient = rounded(gradient)
        rows = gradient.flatten(0, -2)
        return gradient @ weight, rows.T @ v.flatten(0, -2)


def linear(v: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return W v + b; the bias and the sum are exact."""
    product = _Linear.apply(v, weight)
    return product if bias is None else product + bias
