"""`Network` over torch: the same layers, through which gradients flow. Imports torch when used."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from recurra.cells.matrices import plain
from recurra.errors import InputError
from recurra.inspect.language import output_layer
from recurra.inspect.network import Network
from recurra.matrices import plain_parameters

#: Gets a layer, a direction, and by state's name dL/d(state) (T, B, ·), when a backward pass comes.
Watch = Callable[[int, int, dict[str, Any]], None]


def need_torch(what: str) -> None:
    """Raise InputError where torch, which gradients need, is not installed."""
    try:
        import_module("torch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError(f"{what} needs torch: pip install recurra[train]") from error


class Differentiable:
    """The layers of a network as tensors.

    Args:
        network: the layers.
    """

    def __init__(self, network: Network) -> None:
        import torch

        from recurra import ops

        self.network = network
        self._torch, self._ops = torch, ops
        run = plain(network.program)
        self._name = ops.program_name(run)
        self._parameters = []
        for weights in network.weights:
            own = plain_parameters(network.program, weights)
            arrays = [np.ascontiguousarray(own[p.name], network.dtype) for p in run.parameters]
            self._parameters.append([torch.from_numpy(np.array(a)) for a in arrays])

    def tensor(self, array: Any) -> Any:
        """An array of numbers as a tensor of the network's dtype."""
        return self._torch.from_numpy(np.array(array, self.network.dtype))

    def run(
        self,
        x: Any,
        *,
        lengths: np.ndarray | None = None,
        states: Sequence[Sequence[np.ndarray]] | None = None,
        watch: Watch | None = None,
        scale: Callable[[int, int, Any], Any] | None = None,
    ) -> Any:
        """Read x (T, B, I), a tensor: outputs (T, B, D * R), as `Network.run`.

        watch: see `Watch`. scale: makes of a layer, a direction and its outputs (T, B, R) those
        that what follows reads.
        """
        torch, ops, network = self._torch, self._ops, self.network
        steps, batch = x.shape[:2]
        valid = None
        if lengths is not None and not (lengths == steps).all():
            inside = np.arange(steps)[:, None] < lengths[None]
            valid = torch.from_numpy(np.ascontiguousarray(inside))
            x = torch.where(valid[..., None], x, torch.zeros_like(x))
        starts = network.start(batch) if states is None else states
        further = network.program.further
        for layer in range(network.layers):
            sides = []
            for back in range(network.directions):
                k = layer * network.directions + back
                initial = [self.tensor(s) for s in starts[k]]
                call = ops.Call(
                    self._name,
                    x if x.requires_grad or watch is None else x.requires_grad_(),
                    self._parameters[k],
                    initial,
                    valid,
                    None,
                    [None] * len(network.keep),
                    list(network.keep),
                    network.reverse or back == 1,
                )
                if watch is None:
                    way, call = ops.route(call)
                    y = way(call)[0]
                else:
                    y = ops.recorded(call, watch=_told(watch, layer, back)).outputs
                sides.append(y if scale is None else scale(layer, back, y))
            outputs = sides[0] if len(sides) == 1 else _merge(torch, network.merge, *sides)
            if network.residual and layer:
                outputs = outputs + x[..., : outputs.shape[-1]]
            if further and layer < network.layers - 1:
                outputs = torch.cat([outputs, x[..., x.shape[-1] - further :]], -1)
            x = outputs
        return x


class Head:
    """The output layer of a language model over torch."""

    def __init__(self, steps: Any, dtype: np.dtype) -> None:
        import torch

        weight, bias = output_layer(steps)
        bias = np.zeros(len(weight)) if bias is None else bias
        self._torch = torch
        self._weight = torch.from_numpy(np.array(weight, dtype))
        self._bias = torch.from_numpy(np.array(bias, dtype))

    def losses(self, outputs: Any, targets: np.ndarray) -> Any:
        """-ln P (N,) of targets (N,) after outputs (N, R)."""
        functional = self._torch.nn.functional
        logits = functional.linear(outputs, self._weight, self._bias)
        wanted = self._torch.from_numpy(np.asarray(targets, np.int64))
        return functional.cross_entropy(logits, wanted, reduction="none")


def _told(watch: Watch, layer: int, back: int) -> Callable[[Any], None]:
    return lambda values: watch(layer, back, dict(values))


def _merge(torch: Any, how: str, one: Any, other: Any) -> Any:
    if how == "concat":
        return torch.cat((one, other), -1)
    if how == "mul":
        return one * other
    return one + other if how == "sum" else (one + other) / 2
