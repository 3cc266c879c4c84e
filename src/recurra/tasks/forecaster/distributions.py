"""What a forecaster's numbers mean, and their losses: points, quantiles, Student's t.

A head gives `size` numbers for each value; `loss` scores targets under them, one loss a value.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from recurra.errors import InputError
from recurra.tasks.forecaster.runtime import DF_FLOOR, SCALE_FLOOR


class Output(Protocol):
    """Numbers (..., size) that describe one value each."""

    size: int

    def loss(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """Losses (...) of targets (...) under numbers (..., size)."""


class Point:
    """One number: its absolute error (`l1`: the median is best) or square (`l2`: the mean)."""

    size = 1

    def __init__(self, norm: str) -> None:
        if norm not in ("l1", "l2"):
            raise InputError(f"Point: norm: expected l1 or l2, received {norm!r}")
        self.norm = norm

    def loss(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """See `Output`."""
        error = numbers[..., 0] - targets
        return error.abs() if self.norm == "l1" else error.square()


class Quantiles:
    """One number for each level; twice the mean pinball loss, which estimates the CRPS."""

    def __init__(self, levels: Sequence[float]) -> None:
        if not levels or not all(0 < q < 1 for q in levels):
            raise InputError(f"Quantiles: expected levels between 0 and 1, received {levels!r}")
        self.levels = tuple(levels)
        self.size = len(self.levels)

    def loss(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """See `Output`."""
        levels = torch.tensor(self.levels, dtype=numbers.dtype, device=numbers.device)
        error = targets[..., None] - numbers
        return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)


class StudentT:
    """Location, scale and degrees of freedom of Student's t; the negative log-density in nats.

    The scale is a softplus of the second number, the degrees of freedom 2 and a softplus of the
    third, so that the variance is finite.
    """

    size = 3

    def parameters(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Location, scale and degrees of freedom (...) of numbers (..., 3)."""
        location, scale, df = numbers.unbind(dim=-1)
        return (
            location,
            functional.softplus(scale) + SCALE_FLOOR,
            functional.softplus(df) + DF_FLOOR,
        )

    def loss(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """See `Output`."""
        return -student_t_log_density(targets, *self.parameters(numbers))


def student_t_log_density(x: Tensor, location: Tensor, scale: Tensor, df: Tensor) -> Tensor:
    """log density of Student's t with location, scale and degrees of freedom; tensors broadcast."""
    z = (x - location) / scale
    constant = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * torch.log(torch.pi * df)
    return constant - torch.log(scale) - (df + 1) / 2 * torch.log1p(z * z / df)


def output(kind: str, *, norm: str = "l1", levels: Sequence[float] = ()) -> Output:
    """The output named `point`, `quantiles` or `student_t`."""
    if kind == "student_t":
        return StudentT()
    return Quantiles(levels) if kind == "quantiles" else Point(norm)
