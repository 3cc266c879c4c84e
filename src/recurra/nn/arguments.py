"""What a recurrent layer was made with: whether it makes sense, and how it is shown."""

import math
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra import native
from recurra.cells import Cell, Program
from recurra.errors import InputError
from recurra.given import shown
from recurra.nn.initial import SCHEMES

#: What may become of the outputs of two directions, (T, B, R) each.
MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda one, other: torch.cat((one, other), dim=-1),
    "sum": lambda one, other: one + other,
    "mul": lambda one, other: one * other,
    "ave": lambda one, other: (one + other) / 2,
}


def whole(value: Any) -> Any:
    """Return a whole number of any kind (`numpy.int64`, say) as `int`, anything else as it is."""
    try:
        return operator.index(value)
    except TypeError:
        return value


def dense(value: Any, what: str) -> Tensor:
    """Return a tensor whose numbers stand in memory one by one, or refuse what else was given.

    Raises:
        InputError: it is no tensor, or a sparse one.
    """
    if not isinstance(value, Tensor):
        cure = ": use torch.as_tensor" if hasattr(value, "__array__") else ""
        raise InputError(f"{what}: expected a tensor, received {shown(value)}{cure}")
    if value.layout != torch.strided:
        raise InputError(f"{what}: expected a dense tensor, received a sparse one: use .to_dense()")
    return value


def states_of(given: Any, names: Sequence[str], where: str) -> tuple[Tensor, ...]:
    """Return states, given as one tensor or as a tuple of them, as a tuple.

    Raises:
        InputError: they are anything else.
    """
    if isinstance(given, Tensor):
        return (dense(given, f"{where}: state {names[0]}"),)
    if not isinstance(given, list | tuple):
        raise InputError(
            f"{where}: expected {len(names)} state(s) ({', '.join(names)}), a tensor or a tuple of "
            f"tensors, received {shown(given)}"
        )
    return tuple([dense(state, f"{where}: state {k}") for k, state in enumerate(given)])


def cell_options(options: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """Return the further options of a cell, none of which is an argument of the layer itself.

    Raises:
        InputError: a name is no text, or that of an argument.
    """
    for name, value in (options or {}).items():
        if not isinstance(name, str):
            raise InputError(f"{where}: options: expected names that are texts, received {name!r}")
        if name in _ARGUMENTS:
            raise InputError(
                f"{where}: options: {name} is set by the argument {_ARGUMENTS[name]}: write "
                f"{_ARGUMENTS[name]}=…, received {name!r}: {shown(value)}"
            )
    return dict(options or {})


def check_inputs(program: Program, inputs: int, hidden: int, where: str) -> None:
    """Raise InputError where a layer has other inputs than its cell reads.

    Args:
        program: the cell's.
        inputs: features of the layer's input, further inputs among them.
        hidden: units of the layer.
        where: what the message begins with.
    """
    own, cell = inputs - program.further, program.cell
    if own < 1 and program.inputs:
        raise InputError(
            f"{where}: input_size: the cell {cell} reads {program.further} further inputs, the "
            f"last features: expected at least {program.further + 1}, received {inputs}"
        )
    if own != hidden and any(node.op == "raw" for node in program.nodes):
        raise InputError(
            f"{where}: the cell {cell} reads x.raw, the input itself, a number for each unit: "
            f"expected {hidden} inputs, as many as units, received {own}: choose hidden_size so, "
            "and merge='sum' of two directions"
        )


def check_place(device: Any, dtype: Any, where: str) -> None:
    """Raise InputError where weights cannot be of that dtype, or there is no such device."""
    if dtype is not None and not dtype.is_floating_point:
        raise InputError(f"{where}: dtype: expected floating point numbers, received {dtype}")
    try:
        if device is not None:
            torch.device(device)
    except RuntimeError:
        raise InputError(
            f"{where}: device: expected one that torch knows, as cpu, received {shown(device)}"
        ) from None


#: Options of cells that layers have as arguments, by the arguments' names.
_ARGUMENTS = {
    "norm": "layer_norm",
    "peephole": "peephole",
    "projection": "proj_size",
    "bias": "bias",
    "activation": "activation",
    "recurrent_activation": "recurrent_activation",
}


class LayerArguments(nn.Module):
    """What a recurrent layer was made with, and the sizes that follow from it.

    The attributes are the arguments of `recurra.nn.Recurrent`, and beside them:

    Attributes:
        program: the cell with its options.
        watched_by: lists that keep the gradients by its states: see `state_gradients`.
        _names: by layer and direction, the parameters' full names by their names in the program.
    """

    cell: Cell
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int
    recurrent_dropout: float
    zoneout: tuple[float, ...]
    weight_drop: float
    residual: bool
    reverse: bool
    merge: str
    init: str
    precision: str
    program: Program
    watched_by: list[Any]
    _names: list[dict[str, str]]

    @property
    def num_directions(self) -> int:
        """D: 2 where bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Units of each state of the cell; the first is P where the cell projects."""
        return (
            self.proj_size or self.hidden_size,
            *(self.hidden_size,) * (len(self.cell.states) - 1),
        )

    @property
    def output_size(self) -> int:
        """Features of the output: P where the cell projects, else H; of both directions, twice."""
        return self.state_sizes[0] * (self.num_directions if self.merge == "concat" else 1)

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """Parameters by layer and direction, as `torch.nn` orders them."""
        return [[getattr(self, n) for n in names.values()] for names in self._names]

    def _check(self) -> None:
        """Raise InputError with all that is wrong; warn of what has no effect."""
        wrong = []
        for name in ("input_size", "hidden_size", "num_layers"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                wrong.append(f"{name} must be a positive integer, received {value!r}")
        rates = [("dropout", self.dropout), ("recurrent_dropout", self.recurrent_dropout)]
        rates += [("weight_drop", self.weight_drop)]
        rates += [("zoneout", rate) for rate in self.zoneout]
        wrong += [f"{n} must be from 0 to 1, received {r}" for n, r in rates if not 0 <= r <= 1]
        if len(self.zoneout) != len(self.cell.states):
            wrong.append(
                f"zoneout must be a number or {len(self.cell.states)} numbers "
                f"({', '.join(self.cell.states)}), received {len(self.zoneout)}"
            )
        states = self.cell.states
        wrong += [
            f"zoneout: the state {name} starts from {start}, which mixes with no other value: "
            "give a tuple of rates, 0 for it"
            for name, start, rate in zip(states, self.cell.starts, self.zoneout, strict=False)
            if math.isinf(start) and rate
        ]
        if self.merge not in MERGES:
            known = ", ".join(MERGES)
            wrong.append(f"merge must be one of {known}, received {self.merge!r}")
        elif self.merge != "concat" and not self.bidirectional:
            wrong.append(f"merge={self.merge!r} needs bidirectional=True")
        if self.reverse and self.bidirectional:
            wrong.append("reverse: both directions run already with bidirectional=True")
        if self.init not in SCHEMES:
            wrong.append(f"init must be one of {', '.join(SCHEMES)}, received {self.init!r}")
        if self.precision not in native.PRECISIONS:
            known = ", ".join(native.PRECISIONS)
            wrong.append(f"precision must be one of {known}, received {self.precision!r}")
        elif self.precision == "bf16" and not native.half_products():
            wrong.append(
                "precision bf16 needs kernels and a processor with AVX512-BF16 or AMX, which are "
                "not here: use float32"
            )
        if not isinstance(self.proj_size, int) or self.proj_size < 0:
            wrong.append(f"proj_size must be 0 or a positive integer, received {self.proj_size!r}")
        elif self.proj_size and "projection" not in self.cell.options:
            wrong.append(f"proj_size: the cell {self.cell.name} has no projection")
        elif isinstance(self.hidden_size, int) and self.proj_size >= max(self.hidden_size, 1):
            wrong.append(f"proj_size must be below hidden_size, received {self.proj_size}")
        if wrong:
            raise InputError(f"{type(self).__name__}: " + "; ".join(wrong))
        if self.dropout and self.num_layers == 1:
            warnings.warn(
                "dropout acts between layers, so with num_layers=1 it does nothing; "
                f"received dropout={self.dropout}",
                stacklevel=3,
            )

    def extra_repr(self) -> str:
        """Return the arguments that differ from their defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults: dict[str, object] = {"num_layers": 1, "bias": True}
        defaults |= {"batch_first": False, "bidirectional": False}
        defaults |= {"dropout": 0.0, "proj_size": 0, "recurrent_dropout": 0.0, "weight_drop": 0.0}
        defaults |= {"residual": False, "reverse": False, "merge": "concat", "init": "uniform"}
        defaults |= {"precision": "float32"}
        parts += [f"{k}={getattr(self, k)!r}" for k, v in defaults.items() if getattr(self, k) != v]
        parts += [f"zoneout={self.zoneout}"] if any(self.zoneout) else []
        learnt = getattr(self, f"initial_{self.cell.states[0]}") is not None
        parts += ["learn_initial_state=True"] if learnt else []
        plain = {"bias": self.bias, "projection": self.proj_size > 0}
        usual = dict(self.cell.program(**plain).options)
        called = {"norm": "layer_norm"}
        parts += [f"{called.get(k, k)}={v!r}" for k, v in self.program.options if usual[k] != v]
        return ", ".join(parts)
