"""Cells in which every gate has a recurrent dropout mask of its own, as Keras draws them.

The kernels know one mask for all of a cell's products. Here they are states that do not change,
and the product of a gate takes its argument times the gate's mask. The equations stay those of the
cell: they are traced with another `u`.
"""

import inspect
from functools import lru_cache
from typing import Any

from recurra.cells import Cell, cell
from recurra.cells.trace import Bundle, Signal


class _ByGate(Bundle):
    """One signal a gate, each from a product of its own."""

    __slots__ = ("_signals",)

    def __init__(self, signals: dict[str, Signal]) -> None:
        trace = next(iter(signals.values()))._trace
        super().__init__(trace, tuple(signals), ())
        self._signals = signals

    def __getattr__(self, gate: str) -> Signal:
        return self._signals[gate]

    def __radd__(self, other: Bundle) -> "_ByGate":
        return _ByGate({g: getattr(other, g) + s for g, s in self._signals.items()})


class _WithoutNorm:
    """Options of a cell whose norm is off: it is over all gates of one product."""

    def __init__(self, opt: Any) -> None:
        self._opt = opt

    def norm(self, value: Any, name: str = "c") -> Any:
        return value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opt, name)


@lru_cache(maxsize=8)
def masked(of: Cell) -> Cell:
    """Return the cell without its norm, with a state `mask_<gate>` behind its own for each gate."""
    masks = [f"mask_{gate}" for gate in of.gates]
    states = [*of.states, *masks]

    def define(x: Any, u: Any, *rest: Any) -> dict[str, Any]:
        *values, opt = rest
        own, factors = values[: len(of.states)], values[len(of.states) :]

        def by_gate(value: Signal) -> _ByGate:
            pairs = zip(of.gates, factors, strict=True)
            return _ByGate({gate: getattr(u(factor * value), gate) for gate, factor in pairs})

        new = of.define(x, by_gate, *own, _WithoutNorm(opt))
        return {**new, **dict(zip(masks, factors, strict=True))}

    define.__name__ = f"keras_{of.name}"
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = ["x", "u", *states, "opt"]
    define.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])  # type: ignore[attr-defined]
    options = [
        name if False in values else f"{name}={'|'.join(map(str, values))}"
        for name, values in of.options.items()
        if name != "norm"
    ]
    return cell(states=" ".join(states), gates=" ".join(of.gates), options=" ".join(options))(
        define
    )
