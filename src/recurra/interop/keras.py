"""Recurrent layers of Keras 3 to ours and back."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from recurra import native
from recurra.cells import Program, find
from recurra.checked import checked
from recurra.errors import InputError
from recurra.interop.layouts import from_ours, to_ours
from recurra.interop.modules import CELLS, LAYERS, arguments, arrays, fill, suffixes
from recurra.nn import Recurrent, RecurrentCell

#: Our cells by the names of Keras' classes, and Keras' layers by ours.
_CELLS = {"SimpleRNNCell": "rnn", "LSTMCell": "lstm", "GRUCell": "gru"}
_LAYERS = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}

#: Keras' names of the functions by ours.
_FUNCTIONS = {n: n for n in ("tanh", "sigmoid", "relu", "softsign", "softplus", "hard_sigmoid")}
_FUNCTIONS |= {"identity": "linear", "exp": "exponential"}

_TORCH = {"float32": torch.float32, "float64": torch.float64}
_TORCH |= {"float16": torch.float16, "bfloat16": torch.bfloat16}


class _Level(NamedTuple):
    """One layer: a Keras cell for each direction, and whether it turns time round."""

    name: str
    cells: tuple[Any, ...]
    backwards: bool = False
    merge: str = "concat"


class _Kind(NamedTuple):
    """What the cells of all layers and directions must agree in."""

    program: Program
    units: int
    recurrent_dropout: float
    dtype: str


def from_keras(layer: Any) -> Recurrent | RecurrentCell:
    """Make a `recurra.nn` layer (batch first) of a recurrent layer of Keras 3, of any backend.

    It returns all outputs, in the order of the input, and the final states; docs/conversion.md says
    what Keras' flags choose from these.

    Args:
        layer: a built `SimpleRNN`, `LSTM` or `GRU`; one of their cells; `RNN` of one such cell or
            several; `Bidirectional` of such layers; or a list or `Sequential` of such layers, all
            of one size, with or without `Dropout` of one rate between them.

    Raises:
        InputError: it is none of these, is not built, or has what our layers lack.
    """
    if _cell_name(layer):
        kind = _kind(layer)
        given = arguments(kind.program)
        cell = CELLS[kind.program.cell](_inputs(layer), kind.units, dtype=_dtype(kind), **given)
        fill(cell, {"": to_ours("keras", kind.program, _weights(layer))})
        return cell
    levels, dropout = _levels(layer)
    first, kind = levels[0], _kind(levels[0].cells[0])
    cells = [(level.name, cell) for level in levels for cell in level.cells]
    for level in levels:
        _check_level(level, first)
    for name, cell in cells:
        _check_kind(name, _kind(cell), kind)
    made = LAYERS[kind.program.cell](
        _inputs(first.cells[0]),
        kind.units,
        num_layers=len(levels),
        batch_first=True,
        dropout=dropout,
        bidirectional=len(first.cells) == 2,
        dtype=_dtype(kind),
        recurrent_dropout=kind.recurrent_dropout,
        reverse=first.backwards,
        merge=first.merge,
        **arguments(kind.program),
    )
    found = [to_ours("keras", kind.program, _weights(cell)) for _, cell in cells]
    fill(made, dict(zip(suffixes(len(levels), len(first.cells)), found, strict=True)))
    return made


@checked
def to_keras(module: Recurrent | RecurrentCell, *, return_sequences: bool = True) -> Any:
    """Make a recurrent layer of Keras 3 of one of ours, with copies of its weights: the inverse.

    Args:
        module: a recurrent layer or cell of `recurra.nn`.
        return_sequences: whether it returns all outputs, as ours do, or the last alone.

    Returns:
        A built Keras layer, or a `Sequential` of them where the module has several layers; it reads
        (B, T, I) whatever `batch_first` says. Where Keras has one bias, it is the sum of ours.

    Raises:
        InputError: the module has what Keras lacks, all of which is named.
    """
    try:
        import keras
    except ModuleNotFoundError as error:
        raise InputError("to_keras needs Keras 3: pip install keras") from error
    if not isinstance(module, Recurrent | RecurrentCell):
        raise InputError(
            f"expected a recurrent layer of recurra.nn, received {type(module).__name__}"
        )
    if lacks := _lacks(module):
        raise InputError(
            f"Keras has no layer for this {type(module).__name__}: it lacks {', '.join(lacks)}"
        )
    program, options = module.program, _keras_options(module)
    kind = getattr(
        keras.layers, _LAYERS[program.cell] + ("Cell" * isinstance(module, RecurrentCell))
    )
    if isinstance(module, RecurrentCell):
        cell = kind(module.hidden_size, **options)
        cell.build((None, module.input_size))
        cell.set_weights(from_ours("keras", program, arrays(module, program, "")))
        return cell
    made: list[Any] = []
    width, names = module.input_size, iter(suffixes(module.num_layers, module.num_directions))
    for level in range(module.num_layers):
        last = level == module.num_layers - 1
        layer = kind(
            module.hidden_size,
            return_sequences=return_sequences or not last,
            # What runs from the end hands its outputs on from the end.
            go_backwards=module.reverse and level == 0,
            recurrent_dropout=module.recurrent_dropout,
            **options,
        )
        if module.bidirectional:
            layer = keras.layers.Bidirectional(layer, merge_mode=module.merge, dtype=layer.dtype)
        layer.build((None, None, width))
        layer.set_weights(
            [
                array
                for _ in range(module.num_directions)
                for array in from_ours("keras", program, arrays(module, program, next(names)))
            ]
        )
        made.append(layer)
        made += [] if last or not module.dropout else [keras.layers.Dropout(module.dropout)]
        width = module.output_size
    if len(made) == 1:
        return made[0]
    model = keras.Sequential(made)
    model.build((None, None, module.input_size))
    return model


def _keras_options(module: Recurrent | RecurrentCell) -> dict[str, Any]:
    options = dict(module.program.options)
    dtype = next(n for n, t in _TORCH.items() if t == next(module.parameters()).dtype)
    made = {"use_bias": options["bias"], "activation": _FUNCTIONS[str(options["activation"])]}
    if module.program.cell != "rnn":
        made["recurrent_activation"] = _FUNCTIONS[str(options["recurrent_activation"])]
    if module.program.cell == "gru":
        made["reset_after"] = options["reset"] == "after"
    return {**made, "dtype": dtype}


def _lacks(module: Recurrent | RecurrentCell) -> list[str]:
    """What a layer of ours has and Keras' have not."""
    options = module.program.options
    if module.program.cell not in _LAYERS or not native.built_in(module.program):
        return [f"the cell {module.program.cell}"]
    called = {"norm": "layer_norm", "peephole": "peephole", "projection": "proj_size"}
    found = [called[k] for k, v in options if v is True and k in called]
    if isinstance(module, Recurrent):
        found += [f"zoneout={module.zoneout}"] if any(module.zoneout) else []
        found += [f"weight_drop={module.weight_drop}"] if module.weight_drop else []
        found += ["residual=True"] if module.residual else []
        learnt = getattr(module, f"initial_{module.cell.states[0]}") is not None
        found += ["learn_initial_state=True"] if learnt else []
    return found


def _levels(layer: Any) -> tuple[list[_Level], float]:
    """The layers of whatever was given, and the rate of dropout between them."""
    if not isinstance(layer, Sequence) and not _is(layer, "Sequential"):
        return _of_layer(layer), 0.0
    levels: list[_Level] = []
    rates: list[float] = []
    given = list(layer if isinstance(layer, Sequence) else layer.layers)
    for one in given:
        if _is(one, "InputLayer"):
            continue
        if _is(one, "Dropout") and 0 < len(levels) > len(rates) and one is not given[-1]:
            rates.append(float(one.rate))
            continue
        levels += _of_layer(one)
    if not levels or (rates and (len(set(rates)) > 1 or len(rates) < len(levels) - 1)):
        raise InputError(
            f"expected recurrent layers of Keras with one rate of Dropout between all of them, "
            f"received {len(levels)} layers and the rates {rates}"
        )
    return levels, rates[0] if rates else 0.0


def _of_layer(layer: Any) -> list[_Level]:
    if _is(layer, "Bidirectional"):
        pair = (layer.forward_layer, layer.backward_layer)
        both = [getattr(one, "cell", None) for one in pair]
        turned = [getattr(one, "go_backwards", None) for one in pair]
        if not all(_cell_name(c) for c in both) or turned != [False, True]:
            raise InputError(
                f"{layer.name}: expected Bidirectional of two SimpleRNN, LSTM or GRU, the first "
                f"forward, received {[type(one).__name__ for one in pair]}, go_backwards {turned}"
            )
        # Side by side, what Keras returns apart.
        return [_Level(layer.name, tuple(both), merge=layer.merge_mode or "concat")]
    cell = getattr(layer, "cell", None)
    cells: list[Any] = list(cell.cells) if _is(cell, "StackedRNNCells") else [cell]  # type: ignore[union-attr]
    if not all(_cell_name(c) for c in cells):
        names = [type(c).__name__ for c in cells] if cell is not None else type(layer).__name__
        raise InputError(
            "expected a SimpleRNN, LSTM, GRU, their cells, or RNN, Bidirectional or Sequential of "
            f"them, received {names}"
        )
    return [_Level(layer.name, (c,), layer.go_backwards and k == 0) for k, c in enumerate(cells)]


def _check_level(level: _Level, first: _Level) -> None:
    alike = len(level.cells) == len(first.cells) and level.merge == first.merge
    if not alike or (level is not first and level.backwards):
        raise InputError(
            f"{level.name}: expected the directions and the merge_mode of {first.name}, and "
            "go_backwards=False: convert each layer by itself"
        )


def _check_kind(name: str, received: _Kind, expected: _Kind) -> None:
    if received == expected:
        return
    told = "; ".join(
        f"{field}: expected {_show(one)}, received {_show(other)}"
        for field, one, other in zip(_Kind._fields, expected, received, strict=True)
        if one != other
    )
    raise InputError(f"{name}: layers and directions must be alike to be one layer: {told}")


def _show(value: Any) -> str:
    if isinstance(value, Program):
        return f"{value.cell} with " + ", ".join(f"{k}={v!r}" for k, v in value.options)
    return repr(value)


def _kind(cell: Any) -> _Kind:
    name = _cell_name(cell)
    if not cell.built:
        raise InputError(f"{cell.name}: not built, so it has no weights yet: call it or build it")
    options: dict[str, Any] = {"activation": _function(cell, "activation")}
    if name != "rnn":
        options["recurrent_activation"] = _function(cell, "recurrent_activation")
    if name == "gru":
        options["reset"] = "after" if cell.reset_after else "before"
    if cell.dropout:
        warnings.warn(
            f"{cell.name}: dropout={cell.dropout} acts on the input in training and is not carried "
            "over: put a dropout before the layer",
            stacklevel=4,
        )
    program = find(name).program(bias=bool(cell.use_bias), **options)
    return _Kind(program, cell.units, float(cell.recurrent_dropout), str(cell.variable_dtype))


def _function(cell: Any, name: str) -> str:
    function = getattr(cell, name)
    called, module = (
        getattr(function, "__name__", repr(function)),
        getattr(function, "__module__", ""),
    )
    for ours, theirs in _FUNCTIONS.items():
        if called == theirs and str(module).startswith("keras."):
            return ours
    raise InputError(
        f"{cell.name}, {name}: expected one of {', '.join(_FUNCTIONS.values())}, received {called}"
    )


def _cell_name(cell: Any) -> str:
    """Our name of the cell a Keras cell is, of whatever module; "" where it is none."""
    return next((_CELLS[c.__name__] for c in type(cell).__mro__ if c.__name__ in _CELLS), "")


def _is(layer: Any, *names: str) -> bool:
    # By name, so that layers of any backend are known without importing Keras.
    return any(c.__name__ in names for c in type(layer).__mro__)


def _weights(cell: Any) -> list[np.ndarray]:
    with warnings.catch_warnings():  # numpy 2 has one for the way Keras takes out of torch
        warnings.simplefilter("ignore", DeprecationWarning)
        return list(cell.get_weights())


def _inputs(cell: Any) -> int:
    return int(cell.kernel.shape[0])


def _dtype(kind: _Kind) -> torch.dtype:
    if kind.dtype not in _TORCH:
        raise InputError(f"expected weights of {', '.join(_TORCH)}, received {kind.dtype}")
    return _TORCH[kind.dtype]
