"""Layers of `torch.nn` to ours and back. Both have the same parameters under the same names."""

import copy
from collections.abc import Callable
from typing import Any

from torch import nn

from recurra import native
from recurra.checked import checked
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, Recurrent, RecurrentCell, RNNCell

#: Ours by theirs, and theirs, layer and single step, by our cell.
_KNOWN: dict[Any, Any] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
_KNOWN |= {nn.RNNCell: RNNCell, nn.LSTMCell: LSTMCell, nn.GRUCell: GRUCell}
_KINDS: dict[str, tuple[Any, Any]] = {
    "rnn": (nn.RNN, nn.RNNCell),
    "lstm": (nn.LSTM, nn.LSTMCell),
    "gru": (nn.GRU, nn.GRUCell),
}

#: Arguments of our layers that torch's do not have, with the value that changes nothing.
_OURS_ALONE = {
    "residual": False,
    "reverse": False,
    "merge": "concat",
    "recurrent_dropout": 0.0,
    "weight_drop": 0.0,
}


@checked
def from_torch(module: nn.Module) -> nn.Module:
    """Make a `recurra.nn` layer of a layer of `torch.nn`, with copies of its weights.

    Args:
        module: an `RNN`, `LSTM`, `GRU`, `RNNCell`, `LSTMCell` or `GRUCell`; or any module that
            holds some, of which a copy is returned with each of them replaced.

    Raises:
        InputError: there is no recurrent layer in it.
    """
    return _convert(
        module, tuple(_KNOWN), _to_ours, "a recurrent layer of torch.nn, or a module with one"
    )


@checked
def to_torch(module: nn.Module) -> nn.Module:
    """Make a `torch.nn` layer of one of ours, with copies of its weights: the inverse.

    Args:
        module: a recurrent layer or cell of `recurra.nn`; or any module that holds some, of which a
            copy is returned with each of them replaced.

    Raises:
        InputError: there is none in it, or it has what `torch.nn` lacks, all of which is named.
    """
    known = (Recurrent, RecurrentCell)
    return _convert(
        module, known, _to_torch, "a recurrent layer of recurra.nn, or a module with one"
    )


def _convert(
    module: nn.Module, known: tuple[type, ...], make: Callable[[Any], nn.Module], expected: str
) -> nn.Module:
    children = module.modules() if isinstance(module, nn.Module) else ()
    if not any(isinstance(m, known) for m in children):
        raise InputError(f"expected {expected}, received {type(module).__name__}")
    made = copy.deepcopy(module)  # at once, so that what shares weights goes on sharing them
    if isinstance(made, known):
        return make(made)
    # By identity: a layer that stands in two places is one layer in both.
    replaced: dict[int, nn.Module] = {}
    for name, child in list(made.named_modules(remove_duplicate=False)):
        if isinstance(child, known):
            if id(child) not in replaced:
                replaced[id(child)] = make(child)
            parent, _, last = name.rpartition(".")
            setattr(made.get_submodule(parent), last, replaced[id(child)])
    return made


def _to_ours(module: Any) -> nn.Module:
    ours = next(made for theirs, made in _KNOWN.items() if isinstance(module, theirs))
    arguments = _arguments(module)
    if isinstance(module, nn.RNN | nn.RNNCell):
        arguments["nonlinearity"] = module.nonlinearity
    return _made(ours, arguments, module, tuple(_KNOWN))


def _to_torch(module: Any) -> nn.Module:
    name = module.cell.name
    known = name in _KINDS and native.built_in(module.program)  # a user's may have the name
    lacks = _lacks(module) if known else [f"the cell {name}"]
    if lacks:
        raise InputError(
            f"torch.nn has no layer for this {type(module).__name__}: it lacks {', '.join(lacks)}"
        )
    layer, cell = _KINDS[name]
    theirs, arguments = layer if isinstance(module, Recurrent) else cell, _arguments(module)
    if name == "rnn":
        arguments["nonlinearity"] = module.program.option("activation")
    return _made(theirs, arguments, module, (Recurrent, RecurrentCell))


def _arguments(module: Any) -> dict[str, Any]:
    """Those that both libraries' layers have, sizes aside."""
    found = {"bias": module.bias, "dtype": next(module.parameters()).dtype}
    if isinstance(module, nn.RNNBase | Recurrent):
        names = ("num_layers", "batch_first", "dropout", "bidirectional")
        found |= {name: getattr(module, name) for name in names}
        found |= {"proj_size": module.proj_size} if module.proj_size else {}
    return found


def _lacks(module: Any) -> list[str]:
    """What a layer of ours has and torch's have not."""
    options = dict(module.program.options)
    usual: dict[str, tuple[object, ...]] = {"activation": ("tanh",), "norm": (False,)}
    usual |= {"recurrent_activation": ("sigmoid",), "peephole": (False,), "reset": ("after",)}
    if module.cell.name == "rnn":
        usual |= {
            "activation": ("tanh", "relu"),
            "recurrent_activation": (options["recurrent_activation"],),
        }
    called = {"norm": "layer_norm"}
    found = [
        f"{called.get(k, k)}={v!r}" for k, v in options.items() if k in usual and v not in usual[k]
    ]
    if isinstance(module, Recurrent):
        given = {name: getattr(module, name) for name in _OURS_ALONE}
        found += [f"{k}={v!r}" for k, v in given.items() if v != _OURS_ALONE[k]]
        found += [f"zoneout={module.zoneout}"] if any(module.zoneout) else []
        learnt = getattr(module, f"initial_{module.cell.states[0]}") is not None
        found += ["learn_initial_state=True"] if learnt else []
    return found


def _made(
    kind: Any, arguments: dict[str, Any], source: Any, bases: tuple[type[nn.Module], ...]
) -> nn.Module:
    """A layer of that kind with the very parameters of `source`, one of `bases`."""
    if type(source).forward not in [base.forward for base in bases]:
        raise InputError(
            f"{type(source).__name__} has a forward of its own, which would be lost: "
            "convert the layer that it builds on"
        )
    # Nothing is drawn, so that random numbers go on as if nothing had been made.
    made = kind(source.input_size, source.hidden_size, **arguments, device="meta")
    made.to_empty(device=next(source.parameters()).device)
    more = source.state_dict().keys() - made.state_dict().keys()
    if more:
        raise InputError(
            f"{type(source).__name__} has the parameters {', '.join(sorted(more))}, which the "
            "layer it is to become lacks: first make weights of parametrizations"
        )
    for name, parameter in source.named_parameters(remove_duplicate=False):
        setattr(made, name, parameter)
    return made.train(source.training)
