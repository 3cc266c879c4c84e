"""Ablation: what a language model loses when a unit stands still at its mean."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.cells.graph import OVER_UNITS
from recurra.cells.matrices import is_plain
from recurra.errors import InputError
from recurra.given import brief
from recurra.inspect.differentiable import Differentiable, Head, need_torch
from recurra.inspect.gates import surprise_of
from recurra.inspect.network import Network
from recurra.inspect.patching import ablate as holding
from recurra.inspect.patching import patched
from recurra.inspect.reading import Reading, read
from recurra.inspect.results import Result, axes

#: Classes of tokens, by their first character that is no blank; of blanks alone the first two.
CLASSES = ("newline", "space", "lower", "upper", "digit", "punctuation", "other")


@dataclass(frozen=True, eq=False)
class Ablation(Result):
    """What holding a unit at its mean costs, units with the largest loss first.

    layer, unit: which ones, (N,).
    loss: mean Δ of -ln P of a token, nats, (N,); above 0: the unit helped.
    by_class: the same over the tokens of each class, by its name, (N,).
    ranked: of all units of all layers what one backward pass says of them, by layer (H,); empty
        where units were named.
    tokens: how many were predicted.
    """

    layer: np.ndarray
    unit: np.ndarray
    loss: np.ndarray
    by_class: dict[str, np.ndarray]
    ranked: tuple[np.ndarray, ...]
    tokens: int

    def figure(self) -> Any:
        """The units that cost most, a bar each."""
        figure, area = axes("What a unit is worth", "", "Δ nats a token")
        names = [f"{k}.{u}" for k, u in zip(self.layer, self.unit, strict=True)]
        area.bar(np.arange(len(names)), self.loss)
        area.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=7)
        return figure


def ablation(
    model: Any,
    data: Any,
    *,
    units: list[tuple[int, int]] | None = None,
    top: int = 32,
    double: bool = False,
) -> Ablation:
    """What a language model loses when units, one by one, stand still at their mean over the text.

    A held unit is one whose output is its mean wherever it is read: by the recurrent products, by
    the layer above, by the output layer. That is a change of biases, which kernels compute.

    Args:
        model: a recurrent language model.
        data: a text or tokens (N,).
        units: (layer, unit) of those to try; None: one backward pass, which needs torch, ranks all,
            and the first `top` are tried.
        top: how many are tried.
        double: whether to compute in float64.

    Raises:
        InputError: as `gates`; a unit that is not there, or torch is not installed.
    """
    reading = read(model, data, "ablation", double=double)
    if reading.language is None:
        raise InputError("ablation: expected a language model: for other tasks see patched")
    network = reading.network
    ran = reading.run()
    if network.directions > 1:
        raise InputError("ablation: expected layers that read in one direction")
    output = network.states[0]
    means = [reading.flat(sides[0][output]).mean(0) for sides in ran.visible]
    before = surprise_of(reading, ran) * np.log(2)
    counted = np.isfinite(before)
    ranked: tuple[np.ndarray, ...] = ()
    if units is None:
        need_torch("ablation without units")
        ranked = ranking(reading, means)
        order = sorted(
            ((k, u) for k, scores in enumerate(ranked) for u in range(len(scores))),
            key=lambda place: -abs(ranked[place[0]][place[1]]),
        )
        units = order[:top]
    classes = np.array([class_of(label) for label in reading.labels])[counted]
    losses, split = [], []
    for place in units:
        layer, unit = _place(place, means)
        changed = held(network, layer, unit, float(means[layer][unit]))
        again = replace(reading, network=changed).run(look=False)
        extra = (surprise_of(reading, again) * np.log(2) - before)[counted]
        losses.append(extra.mean())
        split.append(
            [
                extra[classes == name].mean() if (classes == name).any() else np.nan
                for name in CLASSES
            ]
        )
    order_ = np.argsort(-np.array(losses), kind="stable")
    table = np.array(split).reshape(len(units), len(CLASSES))[order_]
    found = np.array(units, np.int64).reshape(-1, 2)[order_]
    by_class = {name: table[:, k] for k, name in enumerate(CLASSES) if (classes == name).any()}
    return Ablation(
        found[:, 0], found[:, 1], np.array(losses)[order_], by_class, ranked, int(counted.sum())
    )


def _place(place: Any, means: list[np.ndarray]) -> tuple[int, int]:
    try:
        layer, unit = (int(number) for number in place)
        if 0 <= layer < len(means) and 0 <= unit < len(means[layer]):
            return layer, unit
    except (TypeError, ValueError):
        pass
    raise InputError(
        f"ablation: units: expected pairs (layer, unit) below {len(means)} and {len(means[0])}, "
        f"received {brief(place)}"
    )


def held(network: Network, layer: int, unit: int, value: float) -> Network:
    """The network with a unit's output at a value wherever it is read, from the first step on.

    Where recurrent products read the output itself, the columns that read the unit become a part of
    the biases; elsewhere the reference edits values.
    """
    state = network.states[0]
    starts = [list(each) for each in network.starts]
    starts[layer][0] = np.array(starts[layer][0], network.dtype)
    starts[layer][0][unit] = value
    begun = replace(network, starts=tuple(tuple(each) for each in starts))
    own = dict(network.weights[layer])
    if not _foldable(network, own):
        changed: Network = patched(begun, holding(layer, state, [unit], value))
        return changed
    matrix = np.array(own["weight_hh"])
    own["bias_hh"] = own["bias_hh"] + matrix[:, unit] * matrix.dtype.type(value)
    matrix[:, unit] = 0
    own["weight_hh"] = matrix
    weights = (*network.weights[:layer], own, *network.weights[layer + 1 :])
    return replace(begun, weights=weights, held={layer: (unit, value)})


def _foldable(network: Network, weights: dict[str, np.ndarray]) -> bool:
    """Whether all that reads other units' outputs are recurrent products of plain matrices."""
    program = network.program
    nodes = program.nodes
    mixing = any(node.op in (*OVER_UNITS, "norm") or node.normed for node in nodes)
    products = [node for node in nodes if node.op == "affine" and node.args]
    straight = all(
        nodes[node.args[0]].op == "state" and nodes[node.args[0]].name == program.states[0]
        for node in products
    )
    biased = "bias_hh" in weights and len(weights["bias_hh"]) == len(weights["weight_hh"])
    return is_plain(program) and not mixing and straight and biased and network.directions == 1


def ranking(reading: Reading, means: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The slope of the loss by holding each unit at its mean, by layer (H,): Σ_t (m - h_t) dL/dh_t
    over the number of tokens."""
    import torch

    network, own = reading.network, reading.language
    assert own is not None
    assert reading.tokens is not None
    run = Differentiable(network)
    flow: dict[int, np.ndarray] = {}

    def watch(layer: int, back: int, values: dict[str, Any]) -> None:
        flow[layer] = values[network.states[0]].numpy()

    states = reading.run().visible
    x = run.tensor(network.inputs(reading.tokens))
    outputs = run.run(x, lengths=reading.lengths, watch=watch)
    inside = np.arange(len(x))[:, None] < reading.lengths[None] - 1
    chosen = outputs[torch.from_numpy(inside)]
    targets = np.roll(reading.tokens, -1, axis=0)[inside]
    Head(own.steps, network.dtype).losses(chosen, targets).sum().backward()
    found = []
    for layer, mean in enumerate(means):
        delta = mean - states[layer][0][network.states[0]]
        found.append((delta * flow[layer]).sum((0, 1), dtype=np.float64) / inside.sum())
    return tuple(found)


def class_of(label: str) -> str:
    """The class of a token, by the first of its characters that is no blank."""
    first = label.strip()[:1]
    if not first:
        return "newline" if "\n" in label else "space"
    if first.isdigit():
        return "digit"
    if first.isalpha():
        return "upper" if first.isupper() else "lower"
    return "punctuation" if first.isprintable() and ord(first) < 0x3000 else "other"
