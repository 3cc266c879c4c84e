"""A language model as measures read it: its steps, its layers as arrays, its text as tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra import native
from recurra.errors import InputError
from recurra.generate.plan import first_ids
from recurra.given import shown
from recurra.inspect.network import Network, of_stack
from recurra.runtime.states import States, join, select
from recurra.tasks.language_model.runtime import RuntimeLM
from recurra.text import Corpus, Tokenizer

#: Logits held at once, which bounds memory.
_LOGITS = 1 << 20


@dataclass(frozen=True, eq=False)
class NetworkLM:
    """`RuntimeLM` in the dtype of its weights, with layers that may be edited.

    Args:
        network: the layers, with the rows that tokens choose.
        weight, bias: of the output layer, (V, R) and (V,).
    """

    network: Network
    weight: np.ndarray
    bias: np.ndarray | None

    @property
    def vocab_size(self) -> int:
        """V."""
        return len(self.weight)

    def logits(self, outputs: np.ndarray) -> np.ndarray:
        """Logits (..., V) after outputs (..., R) of the layers."""
        product = native.Product(self.weight, self.bias)
        return product(np.asarray(outputs, self.weight.dtype))

    def start(self, batch: int) -> States:
        """See `recurra.generate.StepModel`."""
        return self.network.start(batch)

    def select(self, state: States, rows: np.ndarray) -> States:
        """See `recurra.generate.StepModel`."""
        return select(state, rows)

    def join(self, states: Sequence[States]) -> States:
        """See `recurra.generate.Joins`."""
        return join(states)

    def step(self, ids: np.ndarray, state: States) -> tuple[np.ndarray, States]:
        """See `recurra.generate.StepModel`."""
        ran = self.network.run(None, np.asarray(ids)[None], states=state, look=False)
        return self.logits(ran.outputs[0]), ran.states

    def read(
        self, ids: np.ndarray, lengths: np.ndarray | None, state: States
    ) -> tuple[np.ndarray, States]:
        """See `recurra.generate.StepModel`."""
        ran = self.network.run(None, ids.T, lengths=lengths, states=state, look=False)
        rows = np.arange(len(ids))
        last = np.full(len(ids), ids.shape[1]) if lengths is None else np.asarray(lengths)
        return self.logits(ran.outputs[last - 1, rows]), ran.states

    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: States
    ) -> tuple[np.ndarray, States]:
        """See `recurra.tasks.language_model.scores.Scorer`."""
        ran = self.network.run(None, inputs.T, states=state, look=False)
        return self.chosen(ran.outputs, targets.T).T, ran.states

    def chosen(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """ln P (T, B), float64, of targets (T, B) after outputs (T, B, R) of the layers."""
        flat, wanted = outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)
        found, rows = np.empty(len(flat), np.float64), max(1, _LOGITS // self.vocab_size)
        for first in range(0, len(flat), rows):
            part = slice(first, first + rows)
            z = log_softmax(self.logits(flat[part]))
            found[part] = z[np.arange(len(z)), wanted[part]]
        return found.reshape(targets.shape)


@dataclass(frozen=True, eq=False)
class Language:
    """A model of text: `steps` read it, `network` are its layers (None: it has none)."""

    steps: Any
    tokenizer: Tokenizer
    lines: bool
    network: Network | None

    def need(self, what: str) -> Network:
        """The layers; InputError where the model has none."""
        if self.network is None:
            raise InputError(
                f"{what}: expected recurrent layers, received a {type(self.steps).__name__}, which "
                "has none: give a model of recurra train lm"
            )
        return self.network

    def sequences(self, data: Any) -> list[np.ndarray]:
        """A text, or tokens, as `evaluate` reads it: ids (N,) of the whole, or of each line.

        A line begins and ends with the end-of-sequence token.

        Raises:
            InputError: neither, of fewer than two tokens, or with symbols the model does not know.
        """
        if isinstance(data, str):
            if self.lines:
                end = first_ids(self.tokenizer).astype(np.int64)
                lines = [line for line in Corpus.of(data).lines() if line.strip()]
                encoded = [self.tokenizer.encode(line).astype(np.int64) for line in lines]
                ids = [np.concatenate([end, line, end]) for line in encoded]
            else:
                ids = [self.tokenizer.encode(data).astype(np.int64)]
        else:
            ids = [self._given(data)]
        if sum(map(len, ids)) < 2:
            raise InputError(f"text: expected at least 2 tokens, received {sum(map(len, ids))}")
        return ids

    def whole(self, data: Any) -> np.ndarray:
        """`sequences` as one row of tokens (N,), which a text that is not in lines is anyway."""
        return np.concatenate(self.sequences(data))

    def pieces(self, ids: np.ndarray) -> list[str]:
        """What each token adds to the text; "" of one that completes no character yet."""
        decoder = self.tokenizer.decoder()
        found = [decoder.push(int(i)) for i in ids]
        if found:
            found[-1] += decoder.finish()
        return found

    def _given(self, data: Any) -> np.ndarray:
        try:
            ids = np.asarray(data)
        except (TypeError, ValueError):
            ids = np.zeros((0, 0))
        size = self.steps.vocab_size
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise InputError(f"expected a text, or its tokens (N,), received {shown(data)}")
        if ids.size and not 0 <= ids.min() <= ids.max() < size:
            raise InputError(
                f"expected tokens from 0 to {size - 1}, received one of {ids.min()} or {ids.max()}"
            )
        return ids.astype(np.int64)


def is_language(model: Any) -> bool:
    """Whether it is a model of text: one that steps, with a tokenizer."""
    runtime = getattr(model, "runtime", None)
    return hasattr(model, "tokenizer") and hasattr(runtime, "step") and hasattr(runtime, "read")


def language(model: Any, *, double: bool = False) -> Language:
    """A model of text; with `double` its layers and output layer in float64.

    Raises:
        InputError: it is no model of text, or float64 is wanted of one without layers.
    """
    if not is_language(model):
        kind = getattr(model, "title", type(model).__name__)
        raise InputError(f"expected a language model, received a {kind}")
    steps = model.runtime
    files = getattr(model, "files", None)
    lines = bool(files is not None and files.config.get("lines"))
    network = None
    if isinstance(steps, NetworkLM):
        network = steps.network
    elif isinstance(steps, RuntimeLM):
        network = of_stack(steps.stack)
    if double:
        if network is None:
            raise InputError("float64: expected a recurrent language model")
        head = (steps.weight, steps.bias) if isinstance(steps, NetworkLM) else _head(steps)
        wide = [None if a is None else np.asarray(a, np.float64) for a in head]
        assert wide[0] is not None
        network = network.in_double()
        steps = NetworkLM(network, wide[0], wide[1])
    return Language(steps, model.tokenizer, lines, network)


def output_layer(steps: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Weight (V, R) and bias (V,) of the output layer of a recurrent language model."""
    return (steps.weight, steps.bias) if isinstance(steps, NetworkLM) else _head(steps)


def _head(steps: RuntimeLM) -> tuple[np.ndarray, np.ndarray | None]:
    return steps.head.weight, steps.head.bias


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """ln P (..., V) of logits, float64."""
    z = np.asarray(logits, np.float64)
    z = z - z.max(-1, keepdims=True)
    found: np.ndarray = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return found
