"""A recurrent language model without torch: start, step, read, score."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from recurra import native
from recurra.errors import FormatError
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import OneHot, RuntimeStack
from recurra.runtime.states import Instead, States, join, select
from recurra.runtime.stream_state import Saved

#: Tokens of a prompt read at once, at least, and of all prompts: enough for the products of a
#: layer's input, few enough that what they fill stays in a cache, however long a prompt is.
_SLICE, _TOKENS = 32, 512
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
        weights = Weights(tensors)
        # Tied weights are stored once.
        head = weights.get("embedding.weight" if "head.weight" not in tensors else "head.weight")
        self.vocab_size, output = head.shape
        self._head = native.Product(head, weights.get("head.bias", (self.vocab_size,)))
        rows: np.ndarray | OneHot = OneHot(self.vocab_size)
        if "embedding.weight" in tensors:
            features = weights.get("embedding.weight").shape[1]
            rows = weights.get("embedding.weight", (self.vocab_size, features))
        self._stack = RuntimeStack(
            architecture, weights, features=rows.shape[1], rows=rows, precision=precision
        )
        if (features := self._stack.output_size) != output:
            raise FormatError(
                f"model.safetensors: expected a head that reads the {features} outputs of the last "
                f"layer, found one that reads {output}: restore the file from a copy"
            )
        self._writing = self._stack.writing(self._head)
        self._streams = self._stack.streams(self._head)

    @property
    def stack(self) -> RuntimeStack:
        """The recurrent layers."""
        return self._stack

    @property
    def head(self) -> native.Product:
        """The output layer, from outputs (..., R) to logits (..., V)."""
        return self._head

    def through(self, instead: Instead) -> None:
        """Let a function run the layers from now on: see `RuntimeStack.through`."""
        self._stack.through(instead)
        self._writing = self._streams = None

    def start(self, batch: int) -> States:
        """Return the state of `batch` streams before their first token."""
        return self._stack.start(batch)

    def select(self, state: States, rows: np.ndarray) -> States:
        """Return the streams `rows` (N,) of `state`, in that order; a row may occur repeatedly."""
        return select(state, rows)

    def join(self, states: Sequence[States]) -> States:
        """Return the streams of several states, one after the other, as one state."""
        return join(states)

    def unpack(self, saved: Saved) -> States:
        """The state of one stream that `recurra.runtime.stack.pack` wrote."""
        return self._stack.unpack(saved)

    def step(self, ids: np.ndarray, state: States) -> tuple[np.ndarray, States]:
        """Read one token a stream, ids (B,): logits (B, V) of the next token, and the new state."""
        found, state = self._stack.step(np.asarray(ids, np.int64), state, self._streams)
        return (self._head(found) if self._streams is None else found), state

    def step_outputs(self, ids: np.ndarray, state: States) -> tuple[np.ndarray, States]:
        """As `step`, with the outputs (B, R) of the last layer in the place of logits."""
        return self._stack.step(np.asarray(ids, np.int64), state)

    @property
    def can_write(self) -> bool:
        """Whether all layers run on the kernels."""
        return self._writing is not None

    def write(
        self, token: int, state: States, choosing: native.Choosing, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Callable[[int], States]]:
        """Write on from one stream: see `recurra.generate.protocol.Writes`."""
        assert self._writing is not None
        ids, found, history = self._writing.write(token, state, choosing, uniforms)

        def at(n: int) -> States:
            return tuple(tuple(s[n : n + 1].copy() for s in layer) for layer in history)

        return ids, found, at

    def read(
        self, ids: np.ndarray, lengths: np.ndarray | None, state: States
    ) -> tuple[np.ndarray, States]:
        """Read ids (B, T), of each row the first `lengths` (B,) (None: all).

        Returns the logits (B, V) after the last token of each row, and the state there.
        """
        batch, steps = ids.shape
        each = max(_SLICE, _TOKENS // max(1, batch))
        left = np.full(batch, steps) if lengths is None else np.asarray(lengths)
        rows, read = np.arange(batch), _Read(batch)
        for first in range(0, max(1, steps), each):
            part = ids[rows, first : first + each].T
            counted = None if (left >= len(part)).all() else np.minimum(left, len(part))
            outputs, state = self._stack.read(part, lengths=counted, states=state)
            done = left <= each
            if done.all() and len(rows) == batch:  # nearly always: nothing to put together
                return self._head(outputs[left - 1, rows]), state
            at = np.flatnonzero(done)
            read.add(rows[at], outputs[left[at] - 1, at], select(state, at))
            rows, left, state = rows[~done], left[~done] - each, select(state, ~done)
            if not len(rows):
                return self._head(read.outputs), read.state
        raise IndexError(f"expected lengths of at most {steps}, the number of tokens")

    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: States
    ) -> tuple[np.ndarray, States]:
        """Read inputs (B, T): ln P of targets (B, T) at each place (float64), and the state."""
        outputs, state = self._stack.read(inputs.T, states=state)
        return self.chosen(outputs, targets.T).T, state

    def chosen(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """ln P (T, B), float64, of targets (T, B) after outputs (T, B, R) of the layers."""
        flat, wanted = outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)
        found, rows = np.empty(len(flat), np.float64), max(1, _LOGITS // self.vocab_size)
        for first in range(0, len(flat), rows):
            part = slice(first, first + rows)
            logits = self._head(flat[part])
            logits -= logits.max(-1, keepdims=True)
            chosen = logits[np.arange(len(logits)), wanted[part]]
            total = native.row_sums(np.exp(logits, out=logits).astype(np.float64))
            found[part] = chosen - np.log(total[:, 0])
        return found.reshape(targets.shape)


class _Read:
    """The outputs (B, R) and the states of streams that end one after the other."""

    outputs: np.ndarray
    state: States = ()

    def __init__(self, batch: int) -> None:
        self._batch = batch

    def add(self, rows: np.ndarray, outputs: np.ndarray, state: States) -> None:
        """Put the streams `rows` (N,) at their places."""
        if not self.state:
            self.outputs = self._room(outputs)
            self.state = tuple(tuple(map(self._room, layer)) for layer in state)
        self.outputs[rows] = outputs
        for layer, values in zip(self.state, state, strict=True):
            for there, value in zip(layer, values, strict=True):
                there[rows] = value

    def _room(self, like: np.ndarray) -> np.ndarray:
        return np.empty((self._batch, *like.shape[1:]), like.dtype)
