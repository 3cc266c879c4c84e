"""What a recurrent layer was made with: whether it makes sense, and how it is shown."""

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra import native
from recurra.errors import InputError
from recurra.given import shown
from recurra.nn.initial import SCHEMES

#: What may become of the outputs of two directions, (T, B, R) each, where they are not put side by
#: side ("concat").
MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": lambda one, other: one + other,
    "mul": lambda one, other: one * other,
    "ave": lambda one, other: (one + other) / 2,
}

if TYPE_CHECKING:
    from recurra.nn.recurrent import Recurrent


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


def check(layer: "Recurrent") -> None:
    """Raise InputError with all that is wrong; warn of what has no effect."""
    wrong = []
    for name in ("input_size", "hidden_size", "num_layers"):
        value = getattr(layer, name)
        if not isinstance(value, int) or value < 1:
            wrong.append(f"{name} must be a positive integer, received {value!r}")
    rates = [("dropout", layer.dropout), ("recurrent_dropout", layer.recurrent_dropout)]
    rates += [("weight_drop", layer.weight_drop)]
    rates += [("zoneout", rate) for rate in layer.zoneout]
    wrong += [f"{n} must be from 0 to 1, received {r}" for n, r in rates if not 0 <= r <= 1]
    if len(layer.zoneout) != len(layer.cell.states):
        wrong.append(
            f"zoneout must be a number or {len(layer.cell.states)} numbers "
            f"({', '.join(layer.cell.states)}), received {len(layer.zoneout)}"
        )
    if layer.merge not in ("concat", *MERGES):
        known = ", ".join(("concat", *MERGES))
        wrong.append(f"merge must be one of {known}, received {layer.merge!r}")
    elif layer.merge != "concat" and not layer.bidirectional:
        wrong.append(f"merge={layer.merge!r} needs bidirectional=True")
    if layer.reverse and layer.bidirectional:
        wrong.append("reverse: both directions run already with bidirectional=True")
    if layer.init not in SCHEMES:
        wrong.append(f"init must be one of {', '.join(SCHEMES)}, received {layer.init!r}")
    if layer.precision not in native.PRECISIONS:
        known = ", ".join(native.PRECISIONS)
        wrong.append(f"precision must be one of {known}, received {layer.precision!r}")
    elif layer.precision == "bf16" and not native.half_products():
        wrong.append(
            "precision bf16 needs kernels and a processor with AVX512-BF16 or AMX, which are not "
            "here: use float32"
        )
    if not isinstance(layer.proj_size, int) or layer.proj_size < 0:
        wrong.append(f"proj_size must be 0 or a positive integer, received {layer.proj_size!r}")
    elif layer.proj_size and "projection" not in layer.cell.options:
        wrong.append(f"proj_size: the cell {layer.cell.name} has no projection")
    elif isinstance(layer.hidden_size, int) and layer.proj_size >= max(layer.hidden_size, 1):
        wrong.append(f"proj_size must be below hidden_size, received {layer.proj_size}")
    if wrong:
        raise InputError(f"{type(layer).__name__}: " + "; ".join(wrong))
    if layer.dropout and layer.num_layers == 1:
        warnings.warn(
            "dropout acts between layers, so with num_layers=1 it does nothing; "
            f"received dropout={layer.dropout}",
            stacklevel=3,
        )


def described(layer: "Recurrent") -> str:
    """Return the arguments that differ from their defaults."""
    parts = [f"{layer.input_size}, {layer.hidden_size}"]
    defaults: dict[str, object] = {"num_layers": 1, "bias": True}
    defaults |= {"batch_first": False, "bidirectional": False}
    defaults |= {"dropout": 0.0, "proj_size": 0, "recurrent_dropout": 0.0, "weight_drop": 0.0}
    defaults |= {"residual": False, "reverse": False, "merge": "concat", "init": "uniform"}
    defaults |= {"precision": "float32"}
    parts += [f"{k}={getattr(layer, k)!r}" for k, v in defaults.items() if getattr(layer, k) != v]
    parts += [f"zoneout={layer.zoneout}"] if any(layer.zoneout) else []
    learnt = getattr(layer, f"initial_{layer.cell.states[0]}") is not None
    parts += ["learn_initial_state=True"] if learnt else []
    plain = {"bias": layer.bias, "projection": layer.proj_size > 0}
    usual = dict(layer.cell.program(**plain).options)
    called = {"norm": "layer_norm"}
    parts += [f"{called.get(k, k)}={v!r}" for k, v in layer.program.options if usual[k] != v]
    return ", ".join(parts)
