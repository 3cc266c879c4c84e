"""Recurrent layers without torch: any depth, one direction or both, over padded batches."""

from collections.abc import Sequence

import numpy as np

from recurra.errors import InputError
from recurra.runtime.architecture import Architecture, Weights, layer_weights
from recurra.runtime.layer import KernelLayer, NumpyLayer, in_half, on_kernels

#: One tuple of arrays (B, ·) a layer and direction (forward first), in the order of the cell's
#: states.
States = tuple[tuple[np.ndarray, ...], ...]


class RuntimeStack:
    """The layers of a `recurra.nn.Recurrent`, with its weights. A row does not depend on others.

    Args:
        architecture: cell, layers, directions and options.
        weights: tensors of the model, those of the layers named `prefix` and as in `Recurrent`.
        features: I, of the input.
        prefix: what the names of the layers' tensors begin with.
        precision: of the layers' products; `bf16` where the kernels can.

    Raises:
        InputError: the cell is not known here, or products of that precision cannot be had.
        FormatError: a weight is missing, or its shape does not fit the others.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        *,
        features: int,
        prefix: str = "rnn.",
        precision: str = "float32",
    ) -> None:
        self.architecture, self.features = architecture, features
        program = architecture.program
        keep = architecture.zoneout if any(architecture.zoneout) else ()
        self._directions = 2 if architecture.bidirectional else 1
        self._runs: list[KernelLayer | NumpyLayer] = []
        self._sizes: list[tuple[int, ...]] = []
        for k in range(architecture.layers * self._directions):
            layer, reverse = divmod(k, self._directions)
            if layer and not reverse:
                features = self._sizes[-1][0] * self._directions
            form = f"{prefix}{{}}_l{layer}{'_reverse' if reverse else ''}"
            found, sizes = layer_weights(program, weights, form, features)
            served = on_kernels(program, found)
            half = in_half(precision, program, served=served)
            if served:
                self._runs.append(KernelLayer(program, found, keep, half=half))
            else:
                self._runs.append(NumpyLayer(program, found, keep))
            self._sizes.append(sizes)
        self._initial = []
        for name, size in zip(program.states, self._sizes[0], strict=True):
            full, shape = f"{prefix}initial_{name}", (len(self._runs), size)
            self._initial.append(weights.get(full, shape) if full in weights else None)

    @property
    def output_size(self) -> int:
        """D * R, features of the output."""
        return self._sizes[-1][0] * self._directions

    def start(self, batch: int) -> States:
        """Return the states of `batch` sequences before their first step."""
        made = []
        for k, sizes in enumerate(self._sizes):
            states = []
            for size, initial in zip(sizes, self._initial, strict=True):
                row = np.zeros(size, np.float32) if initial is None else initial[k]
                states.append(np.tile(row, (batch, 1)))
            made.append(tuple(states))
        return tuple(made)

    def run(
        self, x: np.ndarray, *, lengths: np.ndarray | None = None, states: States | None = None
    ) -> tuple[np.ndarray, States]:
        """Read x (T, B, I), of each sequence the first `lengths` (B,) steps (None: all).

        Returns outputs (T, B, D * R), zero behind a sequence's end, and the states there: a further
        call with these goes on, where the layers have one direction.

        Raises:
            InputError: x has another number of features.
        """
        if x.ndim != 3 or x.shape[2] != self.features:
            raise InputError(f"layers: expected input (T, B, {self.features}), received {x.shape}")
        steps, batch, _ = x.shape
        x = np.ascontiguousarray(x, np.float32)
        valid = None
        if lengths is not None and not (np.asarray(lengths) == steps).all():
            valid = np.arange(steps)[:, None] < np.asarray(lengths)[None, :]
        before = self.start(batch) if states is None else states
        ended: list[tuple[np.ndarray, ...]] = []
        for layer in range(self.architecture.layers):
            sides = []
            for reverse in range(self._directions):
                k = layer * self._directions + reverse
                y, last = self._runs[k].run(x, before[k], valid, reverse=bool(reverse))
                sides.append(y)
                ended.append(last)
            outputs = sides[0] if len(sides) == 1 else np.concatenate(sides, axis=-1)
            x = outputs + x if self.architecture.residual and layer else outputs
        return x, tuple(ended)


def select(states: States, rows: np.ndarray) -> States:
    """Return the sequences `rows` (N,) of `states`, in that order; a row may occur repeatedly."""
    return tuple(tuple(s[rows] for s in layer) for layer in states)


def join(states: Sequence[States]) -> States:
    """Return the sequences of several states, one after the other, as one state."""
    return tuple(
        tuple(np.concatenate(parts) for parts in zip(*layer, strict=True))
        for layer in zip(*states, strict=True)
    )
