"""A recurrent language model over numpy: start, step, read, score. Needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.cells import find
from recurra.cells.graph import Program
from recurra.errors import FormatError, InputError
from recurra.reference import Interpreter

#: One tuple of arrays (B, ·) a layer, in the order of the cell's states.
State = tuple[tuple[np.ndarray, ...], ...]

#: A table of the first layer's input products, a row a token, is made if it is not larger.
TABLE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the weights do not say about a model, as its `config.json` has it."""

    cell: str
    layers: int
    residual: bool
    zoneout: tuple[float, ...]
    options: dict[str, Any]  # arguments of `Cell.program`

    @classmethod
    def from_json(cls, values: Any) -> "Architecture":
        """Read what `to_json` wrote; FormatError where it cannot be that."""
        try:
            made = cls(
                cell=str(values["cell"]),
                layers=int(values["layers"]),
                residual=bool(values["residual"]),
                zoneout=tuple(float(rate) for rate in values["zoneout"]),
                options=dict(values["options"]),
            )
            states = find(made.cell).program(**made.options).states
        except (KeyError, TypeError, ValueError) as error:
            told = str(error) if isinstance(error, InputError) else repr(error)
            raise FormatError(f'config.json: "architecture" cannot be read: {told}') from error
        if made.layers < 1:
            raise FormatError(f"config.json: expected layers from 1 on, received {made.layers}")
        if len(made.zoneout) != len(states) or not all(0 <= rate < 1 for rate in made.zoneout):
            raise FormatError(
                f"config.json: expected {len(states)} zoneout rates in [0, 1), "
                f"received {list(made.zoneout)}"
            )
        return made

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "cell": self.cell,
            "layers": self.layers,
            "residual": self.residual,
            "zoneout": list(self.zoneout),
            "options": dict(self.options),
        }


class RuntimeLM:
    """A language model that steps: the `StepModel` of `recurra.generate`.

    Args:
        architecture: the recurrent layers.
        tensors: weights, named as in `recurra.nn.RecurrentLM`; float32.

    Raises:
        InputError: the cell is not known here.
        FormatError: a weight is missing, or its shape does not fit the others.
    """

    def __init__(self, architecture: Architecture, tensors: Mapping[str, np.ndarray]) -> None:
        self.architecture = architecture
        self._program = find(architecture.cell).program(**architecture.options)
        weights = _Weights(tensors)
        # Tied weights are stored once.
        head = weights.get("embedding.weight" if "head.weight" not in tensors else "head.weight")
        self.vocab_size, output = head.shape
        # Columns of a row-major matrix multiply faster when they lie side by side.
        self._head = np.ascontiguousarray(head.T)
        self._head_bias = weights.get("head.bias", (self.vocab_size,))
        self._layers = []
        self._embedding: np.ndarray | None = None
        features = self.vocab_size
        if "embedding.weight" in tensors:
            features = weights.get("embedding.weight").shape[1]
            self._embedding = weights.get("embedding.weight", (self.vocab_size, features))
        self._sizes: list[tuple[int, ...]] = []
        for layer in range(architecture.layers):
            found, sizes = _layer_weights(self._program, weights, layer, features)
            self._layers.append(Interpreter(self._program, found))
            self._sizes.append(sizes)
            features = sizes[0]
        if features != output:
            raise FormatError(
                f"model.safetensors: the last layer has {features} outputs, the head reads {output}"
            )
        self._initial = []
        for name, size in zip(self._program.states, self._sizes[0], strict=True):
            full, shape = f"rnn.initial_{name}", (architecture.layers, size)
            self._initial.append(weights.get(full, shape) if full in tensors else None)
        self._keep = architecture.zoneout if any(architecture.zoneout) else None
        self._table = self._make_table()

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
        return self._logits(outputs[0]), state

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
        return self._logits(outputs[last, np.arange(len(ids))]), state

    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: State
    ) -> tuple[np.ndarray, State]:
        """Read inputs (B, T): ln P of targets (B, T) at each place (float64), and the state."""
        outputs, state = self._encode(inputs.T, state, None)
        found = np.empty(targets.T.shape, np.float64)
        for t, output in enumerate(outputs):
            logits = self._logits(output)
            highest = logits.max(-1, keepdims=True)
            total = np.log(np.exp(logits - highest).sum(-1, dtype=np.float64)) + highest[:, 0]
            found[t] = logits[np.arange(len(logits)), targets[:, t]] - total
        return found.T, state

    def _logits(self, outputs: np.ndarray) -> np.ndarray:
        return outputs @ self._head + self._head_bias

    def _encode(
        self, ids: np.ndarray, state: State, valid: np.ndarray | None
    ) -> tuple[np.ndarray, State]:
        """Tokens (T, B) to outputs (T, B, R)."""
        steps, ended = len(ids), []
        x = np.empty(0, np.float32)
        for layer, (interpreter, states) in enumerate(zip(self._layers, state, strict=True)):
            hoisted = self._lookup(ids) if layer == 0 else interpreter.hoist(x)
            run = interpreter.loop(hoisted, steps, states, valid=valid, keep=self._keep)
            x = run.outputs + x if layer > 0 and self.architecture.residual else run.outputs
            ended.append(run.states)
        return x, tuple(ended)

    def _lookup(self, ids: np.ndarray) -> dict[int, np.ndarray]:
        """What the first layer's steps read of the input, for tokens (T, B)."""
        if self._table is not None:
            return {node: rows[ids] for node, rows in self._table.items()}
        return self._layers[0].hoist(self._embed(ids))

    def _embed(self, ids: np.ndarray) -> np.ndarray:
        if self._embedding is not None:
            return self._embedding[ids]
        return np.eye(self.vocab_size, dtype=np.float32)[ids]

    def _make_table(self) -> dict[int, np.ndarray] | None:
        """All tokens' input products: looked up, the first layer has no input product to do."""
        gates, units = len(self._program.gates), self._sizes[0][-1]
        if self.vocab_size * gates * units * 4 > TABLE_BYTES:
            return None
        hoisted = self._layers[0].hoist(self._embed(np.arange(self.vocab_size))[None])
        return {node: np.ascontiguousarray(rows[0]) for node, rows in hoisted.items()}


class _Weights:
    """Tensors by name, with errors that say which is missing or misshapen."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self._tensors = tensors

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        if name not in self._tensors:
            raise FormatError(f"model.safetensors: expected a tensor {name!r}; there is none")
        found = self._tensors[name]
        if found.shape != (shape or found.shape) or (shape is None and found.ndim != 2):
            raise FormatError(
                f"model.safetensors, {name}: expected shape {shape or '(·, ·)'}, "
                f"received {found.shape}"
            )
        return found


def _layer_weights(
    program: Program, weights: _Weights, layer: int, features: int
) -> tuple[dict[str, np.ndarray], tuple[int, ...]]:
    """The weights of one layer, and the sizes of its states."""
    gates, recurrent = weights.get(f"rnn.weight_hh_l{layer}").shape
    hidden = gates // len(program.gates)
    projected = any(p.name == "weight_hr" for p in program.parameters)
    found = {}
    for parameter in program.parameters:
        shape = parameter.shape(
            gates=len(program.gates),
            inputs=features,
            hidden=hidden,
            projection=recurrent if projected else 0,
        )
        found[parameter.name] = weights.get(f"rnn.{parameter.name}_l{layer}", shape)
    return found, (recurrent, *(hidden,) * (len(program.states) - 1))
