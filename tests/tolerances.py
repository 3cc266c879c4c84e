"""How close two computations of the same thing must be, by dtype: the one table, with reasons."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Tolerance:
    """|actual - expected| <= absolute + relative * |expected|."""

    relative: float
    absolute: float
    reason: str


TOLERANCES = {
    torch.float32: Tolerance(
        1e-4,
        1e-5,
        "eps is 1.2e-7: a few dozen roundings a step, over a handful of steps, sums in another "
        "order; gradients add up over all steps. oneDNN's tanh and sigmoid are off by a few ULP.",
    ),
    torch.float64: Tolerance(
        1e-10, 1e-12, "eps is 2.2e-16: the same roundings, and room for layer norm's small divisor."
    ),
}


def assert_close(actual: Any, expected: Any, what: str) -> None:
    """Compare tensors or arrays of one dtype and shape under the table; `what` opens the message.

    NaN is never close to anything.
    """
    actual, expected = _tensor(actual), _tensor(expected)
    tolerance = TOLERANCES[expected.dtype]
    torch.testing.assert_close(
        actual,
        expected,
        rtol=tolerance.relative,
        atol=tolerance.absolute,
        msg=_named(what),
    )


def assert_all_close(actual: Any, expected: Any, what: str) -> None:
    """`assert_close` over two sequences or two dictionaries of tensors, item by item."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected), f"{what}: {list(actual)} != {list(expected)}"
        actual, expected = actual.items(), expected.items()
        pairs = [(k, a, e) for (k, a), (_, e) in zip(actual, expected, strict=True)]
    else:
        assert len(actual) == len(expected), f"{what}: {len(actual)} != {len(expected)} items"
        pairs = [(k, a, e) for k, (a, e) in enumerate(zip(actual, expected, strict=True))]
    for key, one, other in pairs:
        assert_close(one, other, f"{what} [{key}]")


def _tensor(value: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value


def _named(what: str) -> Callable[[str], str]:
    return lambda message: f"{what}: {message}"
