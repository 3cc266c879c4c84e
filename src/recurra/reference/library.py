"""The few functions in which numpy and torch differ, and the pointwise operations of equations."""

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra import rowwise
from recurra.cells.graph import OVER_UNITS
from recurra.errors import InputError

Array = Any  # numpy.ndarray or torch.Tensor, not mixed

#: Added to the variance in layer norm, as in torch.nn.LayerNorm.
NORM_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Library:
    """The few functions in which array libraries differ."""

    functions: Mapping[str, Callable[..., Array]]
    linear: Callable[[Array, Array, Array | None], Array]
    norm: Callable[[Array], Array]
    over_units: Mapping[str, Callable[[Array], Array]]
    where: Callable[[Array, Array, Array], Array]
    values: Callable[[Sequence[Array | float]], Sequence[Array]]
    zeros_like: Callable[[Array], Array]
    repeated: Callable[[Array, int], Array]
    stack: Callable[[Sequence[Array]], Array]
    concatenate: Callable[[Sequence[Array]], Array]


def library_of(array: Array) -> Library:
    """Return the library of an array of numpy or torch; InputError for others."""
    if isinstance(array, np.ndarray):
        return _numpy()
    if type(array).__module__.partition(".")[0] == "torch":
        return _torch()
    raise InputError(f"expected arrays of numpy or torch, received {type(array).__name__}")


def pointwise(library: Library, operation: str, args: Sequence[Array | float]) -> Array | float:
    """The value of a pointwise operation of `cells.graph`, of arrays and numbers."""
    match operation:
        case "add":
            return args[0] + args[1]
        case "sub":
            return args[0] - args[1]
        case "mul":
            return args[0] * args[1]
        case "neg":
            return -args[0]
        case "div":
            return args[0] / args[1]
        case "where":
            return library.where(args[0] > args[1], *library.values(args[2:]))
        case "maximum" | "minimum":
            return library.functions[operation](*library.values(args))
        case function:
            return library.functions[function](args[0])


def _alike(
    given: Sequence[Array | float], make: Callable[[float, Array], Array]
) -> Sequence[Array]:
    """Numbers among arrays as `make` makes them of a number and an array of the kind wanted."""
    like = next((v for v in given if not isinstance(v, float)), None)
    return given if like is None else [make(v, like) if isinstance(v, float) else v for v in given]


@functools.cache
def _numpy() -> Library:

    def norm(v: Array) -> Array:
        centred = v - v.mean(-1, keepdims=True)
        return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + NORM_EPSILON)

    def over_units(method: str) -> Callable[[Array], Array]:
        return lambda v: np.broadcast_to(getattr(v, method)(-1, keepdims=True), v.shape)

    return Library(
        functions={
            "tanh": np.tanh,
            "sigmoid": lambda v: 0.5 * (np.tanh(0.5 * v) + 1),  # cannot overflow, unlike exp(-v)
            "relu": lambda v: np.maximum(v, 0),
            "softsign": lambda v: v / (1 + np.abs(v)),
            "softplus": lambda v: np.logaddexp(v, 0),
            "exp": np.exp,
            "hard_sigmoid": lambda v: np.clip(v / 6 + 0.5, 0, 1),
            **{"abs": np.abs, "sqrt": np.sqrt, "log": np.log, "sin": np.sin, "cos": np.cos},
            **{"maximum": np.maximum, "minimum": np.minimum, "floor": np.floor},
        },
        over_units=dict(zip(OVER_UNITS, map(over_units, ("mean", "sum", "max")), strict=True)),
        linear=rowwise.linear,
        norm=norm,
        where=np.where,
        values=lambda given: _alike(given, lambda v, like: like.dtype.type(v)),
        zeros_like=np.zeros_like,
        repeated=lambda v, units: np.broadcast_to(v, (units,)),
        stack=np.stack,
        concatenate=np.concatenate,
    )


@functools.cache
def _torch() -> Library:
    torch = importlib.import_module("torch")
    functional = importlib.import_module("torch.nn.functional")

    def softsign(v: Array) -> Array:
        # The derivative that torch takes of v / (1 + |v|) is a difference of two numbers that
        # become equal as |v| grows; that of the second form is a product.
        size = v.abs()
        far = torch.sign(v) * (1 - 1 / (1 + size))
        return torch.where((size > 1) & size.isfinite(), far, v / (1 + size))

    return Library(
        functions={
            "tanh": torch.tanh,
            "sigmoid": torch.sigmoid,
            "relu": torch.relu,
            "softsign": softsign,
            # Beyond its threshold torch's is the identity; its default, 20, shows in float64.
            "softplus": lambda v: functional.softplus(v, threshold=40.0),
            "exp": torch.exp,
            # The slope of torch's own is 1/6 rounded to float32.
            "hard_sigmoid": lambda v: torch.clamp(v / 6 + 0.5, 0, 1),
            **{n: getattr(torch, n) for n in ("abs", "sqrt", "log", "sin", "cos", "floor")},
            **{n: getattr(torch, n) for n in ("maximum", "minimum")},
        },
        over_units={
            "mean": lambda v: v.mean(-1, keepdim=True).expand(v.shape),
            "total": lambda v: v.sum(-1, keepdim=True).expand(v.shape),
            "largest": lambda v: v.detach().amax(-1, keepdim=True).expand(v.shape),
        },
        linear=functional.linear,
        norm=lambda v: functional.layer_norm(v, v.shape[-1:], eps=NORM_EPSILON),
        where=torch.where,
        values=lambda given: _alike(given, lambda v, like: like.new_tensor(v)),
        zeros_like=torch.zeros_like,
        repeated=lambda v, units: v.expand(units),
        stack=torch.stack,
        concatenate=torch.cat,
    )
