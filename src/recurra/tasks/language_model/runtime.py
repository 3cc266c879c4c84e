"""A recurrent language model without torch: start, step, read, score."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from recurra import native
from recurra.errors import FormatError
from recurra.runtime.architecture import Architecture, Weights, layer_weights
from recurra.runtime.layer import KernelLayer, NumpyLayer, in_half, on_kernels

#: One tuple of arrays (B, ·) a layer, in the order of the cell's states.
State = tuple[tuple[np.ndarray, ...], ...]

#: A table of the first layer's input products, a row a token, is made if it is not larger.
TABLE_BYTES = 64 << 20

#: Logits computed at once in scoring, which bounds memory.
_LOGITS = 1 << 20


class RuntimeLM:
    """A language model that steps: the `StepModel` of `recurra.generate`.

    Args:
        architecture: the recurrent layers.
        tensors: weights, named as in `recurra.nn.RecurrentLM`; float32.
        precision: of the layers' products; `bf16` where the kernels can.

    Raises:
        InputError: the cell is not known here, or products of that precision cannot be had.
        FormatError: a weight is missing, or its shape does not fit the others.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Mapping[str, np.ndarray],
        *,
        precision: str = "float32",
    ) -> None:
        self.architecture = architecture
        self._program = architecture.program
        weights = Weights(tensors)
        # Tied weights are stored once.
        head = weights.get("embedding.weight" if "head.weight" not in tensors else "head.weight")
        self.vocab_size, output = head.shape
        self._head = native.Product(head, weights.get("head.bias", (self.vocab_size,)))
        self._layers: list[KernelLayer | NumpyLayer] = []
        keep = architecture.zoneout if any(architecture.zoneout) else ()
        self._embedding: np.ndarray | None = None
        features = self.vocab_size
        if "embedding.weight" in tensors:
            features = weights.get("embedding.weight").shape[1]
            self._embedding = weights.get("embedding.weight", (self.vocab_size, features))
        self._sizes: list[tuple[int, ...]] = []
        for layer in range(architecture.layers):
            found, sizes = layer_weights(self._program, weights, f"rnn.{{}}_l{layer}", features)
            served = on_kernels(self._program, found)
            half = in_half(precision, self._program, served=served)
            if served:
                table = self._rows(found["weight_ih"]) if layer == 0 else None
                made = KernelLayer(self._program, found, keep, table=table, half=half)
                self._layers.append(made)
            else:
                self._layers.append(NumpyLayer(self._program, found, keep))
            self._sizes.append(sizes)
            features = sizes[0]
        if features != output:
            raise FormatError(
                f"model.safetensors: expected a head that reads the {features} outputs of the last "
                f"layer, found one that reads {output}"
            )
        self._initial = []
        for name, size in zip(self._program.states, self._sizes[0], strict=True):
            full, shape = f"rnn.initial_{name}", (architecture.layers, size)
            self._initial.append(weights.get(full, shape) if full in tensors else None)
        self._table = self._make_table()
        self._writing = self._make_writing(keep)

    def start(self, batch: int) -> State:
        """Return the state of `batch` streams before their first token."""
        made = []
        for layer, sizes in enumerate(self._sizes):
            states = []
            for size, initial in zip(sizes, self._initial, strict=True):
                row = np.zeros(size, np.float32) if initial is None else initial[layer]
                states.append(np.tile(row, (batch, 1)))
            made.append(tuple(states))
        return tuple(made)

    def select(self, state: State, rows: np.ndarray) -> State:
        """Return the streams `rows` (N,) of `state`, in that order; a row may occur repeatedly."""
        return tuple(tuple(s[rows] for s in layer) for layer in state)

    def join(self, states: Sequence[State]) -> State:
        """Return the streams of several states, one after the other, as one state."""
        layers = zip(*states, strict=True)
        return tuple(
            tuple(np.concatenate(parts) for parts in zip(*layer, strict=True)) for layer in layers
        )

    def step(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read one token a stream, ids (B,): logits (B, V) of the next token, and the new state."""
        outputs, state = self._encode(np.asarray(ids)[None, :], state, None)
        return self._head(outputs[0]), state

    @property
    def can_write(self) -> bool:
        """Whether all layers run on the kernels."""
        return self._writing is not None

    def write(
        self, token: int, state: State, choosing: native.Choosing, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Callable[[int], State]]:
        """Write on from one stream: see `recurra.generate.protocol.Writes`."""
        assert self._writing is not None
        ids, found, history = self._writing.write(token, state, choosing, uniforms)

        def at(n: int) -> State:
            return tuple(tuple(s[n : n + 1].copy() for s in layer) for layer in history)

        return ids, found, at

    def read(
        self, ids: np.ndarray, lengths: np.ndarray | None, state: State
    ) -> tuple[np.ndarray, State]:
        """Read ids (B, T), of each row the first `lengths` (B,) (None: all).

        Returns the logits (B, V) after the last token of each row, and the state there.
        """
        steps = ids.shape[1]
        valid = None if lengths is None else np.arange(steps)[:, None] < lengths[None, :]
        outputs, state = self._encode(ids.T, state, valid)
        last = np.full(len(ids), steps) - 1 if lengths is None else lengths - 1
        return self._head(outputs[last, np.arange(len(ids))]), state

    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: State
    ) -> tuple[np.ndarray, State]:
        """Read inputs (B, T): ln P of targets (B, T) at each place (float64), and the state."""
        outputs, state = self._encode(inputs.T, state, None)
        flat, wanted = outputs.reshape(-1, outputs.shape[-1]), targets.T.reshape(-1)
        found, rows = np.empty(len(flat), np.float64), max(1, _LOGITS // self.vocab_size)
        for first in range(0, len(flat), rows):
            part = slice(first, first + rows)
            logits = self._head(flat[part])
            logits -= logits.max(-1, keepdims=True)
            chosen = logits[np.arange(len(logits)), wanted[part]]
            total = native.row_sums(np.exp(logits, out=logits).astype(np.float64))
            found[part] = chosen - np.log(total[:, 0])
        return found.reshape(targets.T.shape).T, state

    def _encode(
        self, ids: np.ndarray, state: State, valid: np.ndarray | None
    ) -> tuple[np.ndarray, State]:
        """Tokens (T, B) to outputs (T, B, R)."""
        first, *above = self._layers
        if isinstance(first, KernelLayer) and first.reads_tokens:
            x, states = first.read(ids, state[0], valid)
        elif self._table is None or isinstance(first, KernelLayer):
            x, states = first.run(self._embed(ids), state[0], valid)
        else:
            looked_up = {node: rows[ids] for node, rows in self._table.items()}
            x, states = first.loop(looked_up, len(ids), state[0], valid)
        ended = [states]
        for layer, before in zip(above, state[1:], strict=True):
            outputs, states = layer.run(x, before, valid)
            x = outputs + x if self.architecture.residual else outputs
            ended.append(states)
        return x, tuple(ended)

    def _embed(self, ids: np.ndarray) -> np.ndarray:
        if self._embedding is not None:
            return self._embedding[ids]
        x = np.zeros((ids.size, self.vocab_size), np.float32)
        x[np.arange(ids.size), ids.ravel()] = 1
        return x.reshape(*ids.shape, self.vocab_size)

    def _rows(self, weight: np.ndarray) -> np.ndarray | None:
        """What tokens choose from in the first layer, where a table of its products is small."""
        if self._program.option("norm") or self.vocab_size * len(weight) * 4 > TABLE_BYTES:
            return None
        return self._embed(np.arange(self.vocab_size))

    def _make_writing(self, keep: Sequence[float]) -> native.Writing | None:
        """The layers and the output layer in one loop, where all of them run on the kernels."""
        layers = [layer for layer in self._layers if isinstance(layer, KernelLayer)]
        if len(layers) < len(self._layers) or not layers[0].reads_tokens:
            return None
        if self._head.handle is None:
            return None
        return native.Writing(
            [layer.packed for layer in layers],
            keep=keep,
            residual=self.architecture.residual,
            head=self._head,
            threads=native.at_most(native.threads()),
        )

    def _make_table(self) -> dict[int, np.ndarray] | None:
        """All tokens' input products: looked up, the first layer has no input product to do."""
        first, gates, units = self._layers[0], len(self._program.gates), self._sizes[0][-1]
        if isinstance(first, KernelLayer):
            return None
        if self.vocab_size * gates * units * 4 > TABLE_BYTES:
            return None
        hoisted = first.hoist(self._embed(np.arange(self.vocab_size))[None])
        return {node: np.ascontiguousarray(rows[0]) for node, rows in hoisted.items()}
