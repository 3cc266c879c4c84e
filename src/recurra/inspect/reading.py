"""From a model and data to what its layers read, whatever the task."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief, plain, shown
from recurra.inspect.language import Language, is_language, language
from recurra.inspect.network import Network, Ran, of_module, of_stack
from recurra.runtime.stack import RuntimeStack
from recurra.runtime.states import Instead, LayersCall, States


@dataclass(frozen=True, eq=False)
class Reading:
    """What layers read: sequences side by side.

    network: the layers. x: (T, B, I), or None where they read tokens (T, B). lengths: (B,), steps
    of each sequence that count. labels: of each step that counts, by sequence, a text, or empty.
    language: the model of text that reads them, or None.
    """

    network: Network
    x: np.ndarray | None
    tokens: np.ndarray | None
    lengths: np.ndarray
    labels: tuple[str, ...] = ()
    language: Language | None = None

    @property
    def sequence(self) -> np.ndarray:
        """The sequence (N,) of each step that counts."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def step(self) -> np.ndarray:
        """The place (N,) of each step in its sequence."""
        return np.concatenate([np.arange(n) for n in self.lengths.tolist()] or [np.zeros(0, int)])

    @property
    def first_tokens(self) -> np.ndarray:
        """The tokens (N,) of the first sequence of a text."""
        assert self.tokens is not None
        return self.tokens[: self.lengths[0], 0]

    def run(self, *, look: bool = True) -> Ran:
        """Run the layers over it."""
        return self.network.run(self.x, self.tokens, lengths=self.lengths, look=look)

    def flat(self, values: np.ndarray) -> np.ndarray:
        """Of values (T, B, ·) those of steps that count, (N, ·), sequence by sequence."""
        rows = [values[:n, k] for k, n in enumerate(self.lengths.tolist())]
        return np.concatenate(rows) if rows else values.reshape(-1, *values.shape[2:])


def read(
    model: Any, data: Any, what: str, *, part: str | None = None, double: bool = False
) -> Reading:
    """What the layers of a model read when it is given `data`.

    Args:
        model: a model of any task; a layer of `recurra.nn`, or `RNN`, `LSTM`, `GRU` of `torch.nn`.
        data: of a language model a text or tokens (N,); of other tasks what `predict` takes, or
            the path of a file for `predict_file`; of a layer an input in its layout.
        what: the measure, for errors.
        part: which layers, of a model that has several stacks; None: the first.
        double: whether to compute in float64.

    Raises:
        InputError: a model without recurrent layers, or data that it cannot read.
    """
    if is_language(model):
        own = language(model, double=double)
        network = own.need(what)
        rows = own.sequences(data)
        lengths = np.array([len(row) for row in rows])
        tokens = np.zeros((lengths.max(), len(rows)), np.int64)
        for column, row in enumerate(rows):
            tokens[: len(row), column] = row
        labels = [piece for row in rows for piece in own.pieces(row)]
        return Reading(network, None, tokens, lengths, tuple(labels), own)
    if isinstance(model, Network):
        found = _of_array(model, data, what)
    elif hasattr(model, "predict") and hasattr(model, "runtime"):
        found = _of_task(model, data, what, part)
    else:
        layer = layer_of(model, what)
        found = _of_array(of_module(layer), _time_major(layer, data, what), what)
    if double:
        x = None if found.x is None else np.asarray(found.x, np.float64)
        return Reading(found.network.in_double(), x, found.tokens, found.lengths, found.labels)
    return found


def layer_of(module: Any, what: str) -> Any:
    """The layer of `recurra.nn` that a module is, or becomes by conversion of torch's weights.

    Raises:
        InputError: it is neither.
    """
    if type(module).__module__.partition(".")[0] in ("torch", "recurra") or hasattr(
        module, "named_modules"
    ):
        from torch import nn

        from recurra.interop.torch import from_torch
        from recurra.nn import Recurrent

        if isinstance(module, Recurrent):
            return module
        if isinstance(module, nn.RNNBase):
            return from_torch(module)
        if isinstance(module, nn.Module):
            inside = [m for m in module.modules() if isinstance(m, nn.RNNBase)]
            raise InputError(
                f"{what}: expected a recurrent layer, received a {type(module).__name__}"
                + (", which holds one: give that layer" if inside else "")
            )
    raise InputError(
        f"{what}: expected a trained model, a layer of recurra.nn or one of torch.nn, received "
        f"{shown(module)}"
    )


def parts(model: Any) -> dict[str, RuntimeStack]:
    """The stacks of layers of a loaded model by what its runtime calls them, its main one first."""
    found: dict[str, RuntimeStack] = {}

    def walk(thing: Any, name: str) -> None:
        for key, value in vars(thing).items():
            own = name + key.strip("_")
            if isinstance(value, RuntimeStack):
                found[own] = value
            elif key == "members" and isinstance(value, list):
                for number, member in enumerate(value):
                    walk(member, f"{own}.{number}.")

    walk(model.runtime, "")
    order = sorted(found, key=lambda name: name.rpartition(".")[2] == "spelling")
    return {name: found[name] for name in order}


def twin(model: Any) -> Any:
    """A copy of a model with a runtime of its own, whose layers may be replaced."""
    return copy.copy(model)


def chosen_part(model: Any, part: str | None, what: str) -> str:
    """The name of a stack of layers; InputError where there is none of that name."""
    names = list(parts(model))
    if not names:
        raise InputError(f"{what}: this {type(model).__name__} has no recurrent layers")
    if part is not None and part not in names:
        raise InputError(f"{what}: part: expected one of {', '.join(names)}, received {part!r}")
    return names[0] if part is None else part


def _of_task(model: Any, data: Any, what: str, part: str | None) -> Reading:
    """Listen to the layers while a twin of the model, without what was edited, predicts."""
    name = chosen_part(model, part, what)
    network = of_stack(parts(model)[name])
    spy = twin(model)
    stack = parts(spy)[name]
    calls: list[tuple[np.ndarray, np.ndarray]] = []
    run = replaced(stack)

    def listen(call: LayersCall) -> tuple[np.ndarray, States]:
        x, lengths = call.x, call.lengths
        if call.states is None and x is not None:  # what goes on from other states is no beginning
            steps, batch = x.shape[:2]
            counted = np.full(batch, steps) if lengths is None else np.asarray(lengths)
            calls.append((np.array(x), counted))
        return run(call)

    stack.through(listen)
    if isinstance(data, Path):
        for _ in spy.predict_file(str(data), spy.Prediction()):
            pass
    elif isinstance(data, list | tuple):
        for one in data:  # each by itself: a model may read them in another order
            spy.predict([one])
    else:
        spy.predict(data)
    if not calls:
        raise InputError(
            f"{what}: the layers {name} of this {spy.title} read nothing from its beginning: "
            f"choose another part of {', '.join(parts(spy))}"
        )
    lengths = np.concatenate([counted for _, counted in calls])
    x = np.zeros((max(1, lengths.max()), len(lengths), calls[0][0].shape[2]), np.float32)
    column = 0
    for given, counted in calls:
        x[: len(given), column : column + len(counted)] = given[: len(x)]
        column += len(counted)
    return Reading(network, x, None, lengths)


def replaced(stack: RuntimeStack) -> Instead:
    """What ran the layers of a stack before `through`: a stack of the same weights."""
    plainly = copy.copy(stack)

    def run(call: LayersCall) -> tuple[np.ndarray, States]:
        x, tokens, lengths, states, reset = call
        if x is None:
            assert tokens is not None
            return plainly.read(tokens, lengths=lengths, states=states, reset=reset)
        return plainly.run(x, lengths=lengths, states=states, reset=reset)

    return run


def _of_array(network: Network, data: Any, what: str) -> Reading:
    try:
        x = np.asarray(plain(data))
    except (TypeError, ValueError):
        x = np.zeros(())
    x = x[:, None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[2] != network.features or x.dtype.kind not in "fiu":
        raise InputError(
            f"{what}: expected an input (T, {network.features}) or (T, B, {network.features}), "
            f"received {shown(data)}"
        )
    lengths = np.full(x.shape[1], len(x))
    return Reading(network, np.asarray(x, network.dtype), None, lengths)


def _time_major(layer: Any, data: Any, what: str) -> np.ndarray:
    x = np.asarray(plain(data))
    return x.swapaxes(0, 1) if layer.batch_first and x.ndim == 3 else x


def chosen_layers(network: Network, layer: Any, what: str) -> list[int]:
    """The layers that are meant: None all, a number that one (below 0 from the last)."""
    if layer is None:
        return list(range(network.layers))
    whole = isinstance(layer, int | np.integer) and not isinstance(layer, bool)
    if not whole or not -network.layers <= layer < network.layers:
        raise InputError(
            f"{what}: layer: expected a number from 0 to {network.layers - 1}, received "
            f"{brief(layer)}"
        )
    return [int(layer) % network.layers]
