"""Recurrent layers without torch: any depth, one direction or both, over padded batches."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from recurra import native
from recurra.cells.graph import Program
from recurra.cells.matrices import plain
from recurra.errors import InputError
from recurra.given import shown
from recurra.matrices import plain_parameters
from recurra.runtime.architecture import Architecture, Weights, layer_weights
from recurra.runtime.layer import KernelLayer, NumpyLayer, Resets, in_half, on_kernels
from recurra.runtime.states import Instead, LayersCall, States, join, pack, resets_of, select
from recurra.runtime.stream_state import Saved, StreamState
from recurra.runtime.streams import (
    Identity,
    Reader,
    Row,
    Stream,
    check_direction,
    gather,
    rows_of,
)

#: A table of the first layer's input products, a row a token, is made if it is not larger.
TABLE_BYTES = 64 << 20


class OneHot:
    """The rows of an identity matrix (V, V), made as they are read."""

    def __init__(self, symbols: int) -> None:
        self.shape = (symbols, symbols)

    def __getitem__(self, tokens: np.ndarray) -> np.ndarray:
        """Return a row for each of tokens (...): (..., V)."""
        x = np.zeros((tokens.size, self.shape[0]), np.float32)
        x[np.arange(tokens.size), tokens.ravel()] = 1
        return x.reshape(*tokens.shape, self.shape[0])


class RuntimeStack:
    """The layers of a `recurra.nn.Recurrent`, with its weights. A row does not depend on others.

    Args:
        architecture: cell, layers, directions and options.
        weights: tensors of the model, those of the layers named `prefix` and as in `Recurrent`.
        features: I, of the input.
        rows: what tokens choose from, for `read`: an embedding (V, I), or `OneHot`. The first
            layer's products of these are computed once, where that table is small.
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
        rows: np.ndarray | OneHot | None = None,
        prefix: str = "rnn.",
        precision: str = "float32",
    ) -> None:
        self.architecture, self.features, self._rows = architecture, features, rows
        program = architecture.program
        self._further = program.further
        self._keep = architecture.zoneout if any(architecture.zoneout) else ()
        self._directions = 2 if architecture.bidirectional else 1
        self.layers: list[KernelLayer | NumpyLayer] = []
        self._weights: list[dict[str, np.ndarray]] = []
        self._sizes: list[tuple[int, ...]] = []
        for k in range(architecture.layers * self._directions):
            layer, reverse = divmod(k, self._directions)
            if layer and not reverse:
                features = self._sizes[-1][0] * self._directions + self._further
            form = f"{prefix}{{}}_l{layer}{'_reverse' if reverse else ''}"
            found, sizes = layer_weights(program, weights, form, features - self._further)
            self._weights.append(found)
            found, run = plain_parameters(program, found), plain(program)
            served = on_kernels(run, found)
            half = in_half(precision, run, served=served)
            table = self._table(run, found) if layer == 0 else None
            if served:
                made = KernelLayer(run, found, self._keep, table=table, half=half)
                self.layers.append(made)
            else:
                self.layers.append(NumpyLayer(run, found, self._keep, table=table))
            self._sizes.append(sizes)
        self._initial = []
        for name, size in zip(program.states, self._sizes[0], strict=True):
            full, shape = f"{prefix}initial_{name}", (len(self.layers), size)
            self._initial.append(weights.get(full, shape) if full in weights else None)
        self._streams = self.streams()
        self.instead: Instead | None = None

    @property
    def weights(self) -> list[dict[str, np.ndarray]]:
        """The parameters by name, of each layer and direction (forward first)."""
        return self._weights

    @property
    def rows(self) -> np.ndarray | OneHot | None:
        """What tokens choose from."""
        return self._rows

    def through(self, instead: Instead) -> None:
        """Let a function run the layers from now on, such as one that keeps what it computes.

        It returns what `run` does.
        """
        self.instead, self._streams = instead, None

    @cached_property
    def sha256(self) -> str:
        """The hash of cell and weights, which tells these layers from others."""
        found = hashlib.sha256(repr(self.architecture.to_json()).encode())
        begun = {f"initial.{k}": s for k, s in enumerate(self._initial) if s is not None}
        for weights in (*self._weights, begun):
            for name, array in weights.items():
                found.update(f"{name}\0{array.shape}\0".encode() + array.tobytes())
        return found.hexdigest()

    def open_stream(self, *, state: StreamState | None = None) -> "LayerStream":
        """A sequence that the layers read as it comes: `push` takes a step (I,) or some (T, I), and
        returns the outputs (R,) or (T, R).

        Raises:
            InputError: layers that read in both directions, or a state of others.
        """
        check_direction(bidirectional=self.architecture.bidirectional)
        return Stream(self._reader, Row(self.start(1))).at(state)

    @property
    def output_size(self) -> int:
        """D * R, features of the output."""
        return self._sizes[-1][0] * self._directions

    def start(self, batch: int) -> States:
        """Return the states of `batch` sequences before their first step."""
        made = []
        for k, sizes in enumerate(self._sizes):
            states = []
            starts = self.architecture.program.first
            for size, initial, start in zip(sizes, self._initial, starts, strict=True):
                row = np.full(size, start, np.float32) if initial is None else initial[k]
                states.append(np.tile(row, (batch, 1)))
            made.append(tuple(states))
        return tuple(made)

    def run(
        self,
        x: np.ndarray,
        *,
        lengths: np.ndarray | None = None,
        states: States | None = None,
        reset: np.ndarray | None = None,
    ) -> tuple[np.ndarray, States]:
        """Read x (T, B, I), of each sequence the first `lengths` (B,) steps (None: all).

        Before the steps where `reset` (T, B), booleans, is set, a sequence begins anew, as from
        `start`: as in `recurra.nn.Recurrent`.

        Returns outputs (T, B, D * R), zero behind a sequence's end, and the states there: a further
        call with these goes on, where the layers have one direction.

        Raises:
            InputError: x has another number of features, or resets another shape or dtype.
        """
        if x.ndim != 3 or x.shape[2] != self.features:
            raise InputError(f"layers: expected input (T, B, {self.features}), received {x.shape}")
        return self._run(np.ascontiguousarray(x, np.float32), None, lengths, states, reset)

    def read(
        self,
        tokens: np.ndarray,
        *,
        lengths: np.ndarray | None = None,
        states: States | None = None,
        reset: np.ndarray | None = None,
    ) -> tuple[np.ndarray, States]:
        """`run` of the rows that tokens (T, B) choose."""
        return self._run(None, tokens, lengths, states, reset)

    def step(
        self, given: np.ndarray, states: States, streams: native.Streams | None = None
    ) -> tuple[np.ndarray, States]:
        """Read one x (B, I), or one of tokens (B,), a sequence: outputs (B, D * R), new states.

        streams: what `streams` returned, which may end with another layer.

        Raises:
            IndexError: there is no row for a token.
        """
        streams = streams or self._streams
        if given.ndim == 1 and not self.layers[0].reads_tokens and self.instead is None:
            given = self._row_of(given)
        if streams is None:
            x, tokens = (given[None], None) if given.ndim == 2 else (None, given[None])
            outputs, states = self._run(x, tokens, None, states, None)
            return outputs[0], states
        if given.ndim == 2:
            found, after = streams.step(np.asarray(given, np.float32), states)
        else:
            found, after = streams.step_tokens(np.asarray(given, np.int64), states)
        return found, tuple(map(tuple, after))

    def streams(self, head: native.Product | None = None) -> native.Streams | None:
        """All layers in one call a step, and an output layer; None unless the kernels run them."""
        packed = [run.packed for run in self.layers if isinstance(run, KernelLayer)]
        if len(packed) < len(self.layers) or self._directions > 1 or not packed or self._further:
            return None
        if head is not None and head.handle is None:
            return None
        return native.Streams(
            packed,
            keep=self._keep,
            residual=self.architecture.residual,
            head=head,
            threads=native.at_most(native.threads()),
        )

    def writing(self, head: native.Product) -> native.Writing | None:
        """The layers and an output layer in one loop; None unless the kernels run all of it."""
        packed = [run.packed for run in self.layers if isinstance(run, KernelLayer)]
        if head.handle is None or len(packed) < len(self.layers) or not self.layers[0].reads_tokens:
            return None
        return native.Writing(
            packed,
            keep=self._keep,
            residual=self.architecture.residual,
            head=head,
            threads=native.at_most(native.threads()),
        )

    @cached_property
    def _reader(self) -> "_LayerReader":
        return _LayerReader(self)

    def _table(self, program: Program, weights: dict[str, np.ndarray]) -> np.ndarray | None:
        """The rows, where a table of their products is small and can be had."""
        if self._rows is None or self._directions > 1:
            return None
        symbols = self._rows.shape[0]
        if symbols * len(weights["weight_ih"]) * 4 > TABLE_BYTES:
            return None
        if program.option("norm") and on_kernels(program, weights):
            return None
        return self._rows[np.arange(symbols)]

    def _row_of(self, tokens: np.ndarray) -> np.ndarray:
        """The rows that tokens (...) choose, (..., I)."""
        assert self._rows is not None
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self._rows.shape[0]:
            wrong = tokens.min() if tokens.min() < 0 else tokens.max()
            raise IndexError(f"expected tokens below {self._rows.shape[0]}, received {wrong}")
        return self._rows[tokens]

    def _run(
        self,
        x: np.ndarray | None,
        tokens: np.ndarray | None,
        lengths: np.ndarray | None,
        states: States | None,
        reset: np.ndarray | None,
    ) -> tuple[np.ndarray, States]:
        """`run` or `read`."""
        if self.instead is not None:
            return self.instead(LayersCall(x, tokens, lengths, states, reset))
        if tokens is not None and not self.layers[0].reads_tokens:
            x, tokens = self._row_of(tokens), None
        given = x if tokens is None else tokens
        assert given is not None
        steps, batch = given.shape[:2]
        valid = None
        if lengths is not None and not (np.asarray(lengths) == steps).all():
            valid = np.arange(steps)[:, None] < np.asarray(lengths)[None, :]
        start = self.start(batch) if states is None or reset is not None else ()
        before = start if states is None else states
        resets = None if reset is None else resets_of(reset, (steps, batch), valid)
        if self._streams is not None and resets is None:
            if x is None:
                read = self._streams.read_tokens(np.asarray(tokens, np.int64), before, valid)
            else:
                read = self._streams.read(np.asarray(x, np.float32), before, valid)
            return read[0], tuple(map(tuple, read[1]))
        ended: list[tuple[np.ndarray, ...]] = []
        for layer in range(self.architecture.layers):
            sides = []
            for reverse in range(self._directions):
                k = layer * self._directions + reverse
                anew = None if resets is None else Resets(resets[reverse], start[k])
                if tokens is not None and layer == 0:
                    y, last = self.layers[k].read(tokens, before[k], valid, resets=anew)
                else:
                    assert x is not None
                    back = bool(reverse)
                    y, last = self.layers[k].run(x, before[k], valid, reverse=back, resets=anew)
                sides.append(y)
                ended.append(last)
            outputs = sides[0] if len(sides) == 1 else np.concatenate(sides, axis=-1)
            if self.architecture.residual and layer:
                assert x is not None
                outputs = outputs + x[..., : outputs.shape[-1]]
            if self._further and layer < self.architecture.layers - 1:
                assert x is not None
                outputs = np.concatenate([outputs, x[..., x.shape[-1] - self._further :]], axis=-1)
            x = outputs
        assert x is not None
        return x, tuple(ended)

    def unpack(self, saved: Saved, prefix: str = "layers", count: int = 1) -> States:
        """The states of some sequences that `pack_states` wrote; FormatError for anything else."""
        return tuple(
            tuple(
                saved.array(f"{prefix}.{k}.{number}", (count, size), float)
                for number, size in enumerate(sizes)
            )
            for k, sizes in enumerate(self._sizes)
        )

    def advance(
        self, inputs: Sequence[np.ndarray], rows: Sequence[Row[States]]
    ) -> tuple[list[np.ndarray], list[Row[States]]]:
        """Read inputs (T, I) of any lengths from 1 on, each after the states of a row.

        Returns their outputs (T, D * R), and the rows of the states after them.
        """
        lengths = np.array([len(x) for x in inputs])
        if len(inputs) == 1:
            x = np.asarray(inputs[0])[:, None]
        else:
            x = np.zeros((lengths.max(), len(inputs), self.features), np.float32)
            for column, one in enumerate(inputs):
                x[: len(one), column] = one
        return self.advance_padded(x, lengths, rows)

    def advance_padded(
        self, x: np.ndarray, lengths: np.ndarray, rows: Sequence[Row[States]]
    ) -> tuple[list[np.ndarray], list[Row[States]]]:
        """`advance` of inputs side by side (T, B, I), of each the first `lengths` (B,)."""
        outputs, states = self.run(x, lengths=lengths, states=gather(rows, select, join))
        found = [outputs[:length, column] for column, length in enumerate(lengths)]
        return found, rows_of(states, len(rows))


LayerStream = Stream[Row[States], np.ndarray, np.ndarray, np.ndarray]


class _LayerReader(Reader[Row[States], np.ndarray, np.ndarray, np.ndarray]):
    """Reads with layers alone."""

    kind = "layers"

    def __init__(self, stack: RuntimeStack) -> None:
        super().__init__(Identity(lambda: stack.sha256))
        self._stack = stack

    def advance(
        self, places: Sequence[Row[States]], frames: Sequence[np.ndarray]
    ) -> list[tuple[Row[States], np.ndarray]]:
        """See `Reader.advance`."""
        size = self._stack.features
        arrays = [np.asarray(frame, np.float32) for frame in frames]
        for array in arrays:
            if array.ndim not in (1, 2) or array.shape[-1] != size or not len(array):
                raise InputError(
                    f"push: expected a step ({size},) or some (T, {size}), received {shown(array)}"
                )
        found, rows = self._stack.advance([np.atleast_2d(array) for array in arrays], places)
        outputs = [y[0] if a.ndim == 1 else y for y, a in zip(found, arrays, strict=True)]
        return list(zip(rows, outputs, strict=True))

    def end(self, place: Row[States]) -> tuple[Row[States], np.ndarray]:
        """See `Reader.end`."""
        return place, np.zeros((0, self._stack.output_size), np.float32)

    def pack(self, place: Row[States]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `Reader.pack`."""
        return pack(place), {}

    def unpack(self, saved: Saved) -> Row[States]:
        """See `Reader.unpack`."""
        return Row(self._stack.unpack(saved))
