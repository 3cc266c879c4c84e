"""The rows: every cell with every option, as layers. Add a row, get every check."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from recurra import native, nn
from recurra.cells import BUILT_IN, FUNCTIONS
from recurra.cells import programs as variants
from recurra.nn import GRU, LSTM, RNN, Recurrent

I, H, P = 4, 3, 2
ON = (False, True)


@dataclass(frozen=True)
class Variant:
    """A layer class, or the cell of a `Recurrent`, and its keyword arguments."""

    layer: type[Recurrent] | str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = ",".join(f"{k}={v}" for k, v in self.arguments.items())
        name = self.layer if isinstance(self.layer, str) else self.layer.__name__
        return f"{name}({shown})".replace("=True", "")

    def make(self, *, dtype: torch.dtype = torch.float64, **more: Any) -> Recurrent:
        """Build it from a fixed seed, every parameter drawn: no zero or one hides a mistake."""
        torch.manual_seed(20)
        make = partial(Recurrent, self.layer) if isinstance(self.layer, str) else self.layer
        module = make(I, H, dtype=dtype, **(self.arguments | more))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.uniform_(-0.9, 0.9)
        return module


def _rows() -> list[Variant]:
    rows = [Variant(RNN, {"nonlinearity": f}) for f in FUNCTIONS if f != "exp"]
    rows += [Variant(RNN, {"layer_norm": True})]
    for reset in ("after", "before"):
        rows += [Variant(GRU, {"reset": reset, "layer_norm": norm}) for norm in ON]
    rows += [Variant(GRU, {"activation": "relu", "recurrent_activation": "hard_sigmoid"})]
    rows += [
        Variant(LSTM, {"layer_norm": norm, "peephole": peephole, "proj_size": size})
        for norm in ON
        for peephole in ON
        for size in (0, P)
    ]
    rows += [Variant(LSTM, {"activation": "softsign", "recurrent_activation": "hard_sigmoid"})]
    for cell in BUILT_IN.values():
        if cell.name.upper() not in nn.__all__:  # a cell without a layer class of its name
            for program in variants(cell):
                more = {"layer_norm" if n == "norm" else n: v for n, v in program.options}
                rows.append(Variant(cell.name, more))
    return rows


#: Every cell and every option of a cell.
CELLS = _rows()

#: What belongs to the loop and to the stack of layers, for each kind of cell.
LOOPS = [
    Variant(layer, arguments)
    for layer in (RNN, LSTM, GRU)
    for arguments in (
        {"bidirectional": True, "num_layers": 2},
        {"residual": True, "num_layers": 3},
        {"learn_initial_state": True, "bidirectional": True},
        {"reverse": True, "num_layers": 2},
    )
]
LOOPS += [
    Variant(RNN, {"bidirectional": True, "num_layers": 2, "merge": "sum"}),
    Variant(LSTM, {"bidirectional": True, "num_layers": 2, "merge": "mul", "proj_size": P}),
    Variant(GRU, {"bidirectional": True, "num_layers": 2, "merge": "ave", "residual": True}),
]
LOOPS += [
    Variant(LSTM, {"residual": True, "num_layers": 2, "bidirectional": True, "proj_size": P}),
    Variant(GRU, {"bias": False, "reset": "before", "num_layers": 2}),
    Variant(LSTM, {"bias": False, "layer_norm": True, "peephole": True}),
]

#: What draws noise in training.
NOISY = [
    Variant(layer, more | noise)
    for layer, more in (
        (RNN, {}),
        (LSTM, {"proj_size": P}),
        (GRU, {"reset": "before"}),
        (LSTM, {"bidirectional": True, "num_layers": 2}),
    )
    for noise in (
        {"recurrent_dropout": 0.4},
        {"zoneout": 0.4},
        {"weight_drop": 0.4},
    )
]
NOISY += [
    Variant(LSTM, {"zoneout": (0.0, 0.5)}),
    Variant(LSTM, {"dropout": 0.5, "num_layers": 3}),
    Variant(GRU, {"dropout": 0.5, "num_layers": 2, "recurrent_dropout": 0.3, "zoneout": 0.2}),
]


#: Our kernels, torch's, and the reference.
PATHS = ("native", "torch", "reference") if native.available() else ("torch", "reference")


def on(path: str, module: Recurrent) -> Recurrent:
    """Make the module run on that path, which it must have."""
    if path == "native":
        assert module._kernel is not None, f"{module}: no kernels"
    else:
        module._kernel = None
    if path == "torch":
        assert module._fused is not None, f"{module}: not on torch's kernel"
    else:
        module._fused = None
    return module


def paths(variant: Variant, **more: Any) -> list[tuple[str, Recurrent]]:
    """The variant on each path it can run on, with equal parameters."""
    module = variant.make(**more)
    has = {"native": module._kernel, "torch": module._fused, "reference": True}
    return [(path, on(path, variant.make(**more))) for path in PATHS if has[path]]


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers, the same for the same shape and seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def states_of(module: Recurrent, batch: int, *, seed: int = 100) -> tuple[Tensor, ...]:
    """Initial states, drawn."""
    dtype = next(module.parameters()).dtype
    rows = module.num_layers * module.num_directions
    return tuple(
        draw(rows, batch, size, seed=seed + k, dtype=dtype)
        for k, size in enumerate(module.state_sizes)
    )


def as_hx(states: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """States in the form layers take: a tensor where there is one."""
    return states[0] if len(states) == 1 else states


def as_tuple(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The inverse of `as_hx`."""
    return state if isinstance(state, tuple) else (state,)


def gradients(results: list[Tensor], leaves: list[Tensor]) -> list[Tensor]:
    """Gradients of a sum of all results, each entry with a weight of its own; None becomes zero."""
    loss = sum((r * draw(*r.shape, seed=7 + k).to(r)).sum() for k, r in enumerate(results))
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [
        torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True)
    ]
