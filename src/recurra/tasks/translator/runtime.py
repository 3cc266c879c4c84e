"""An encoder-decoder with attention without torch: read sources, then step through targets."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import FormatError
from recurra.given import reason
from recurra.native import Product, matmul, row_sums
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack
from recurra.runtime.states import States, select

#: How a query and a step of the memory are compared: see `recurra.nn.attention`.
SCORES = ("additive", "general", "dot")


@dataclass(frozen=True, slots=True)
class TranslatorArchitecture:
    """What the weights do not say, as `config.json` has it.

    unknown: the token that the decoder reads where a word was copied that it does not know.
    """

    encoder: Architecture
    decoder: Architecture
    reader: Architecture | None
    score: str
    copy: bool
    unknown: int

    @classmethod
    def from_json(cls, values: Any) -> "TranslatorArchitecture":
        """Read what `to_json` wrote; FormatError where it cannot be that."""
        try:
            reader = values["reader"]
            made = cls(
                encoder=Architecture.from_json(values["encoder"]),
                decoder=Architecture.from_json(values["decoder"]),
                reader=None if reader is None else Architecture.from_json(reader),
                score=str(values["score"]),
                copy=bool(values["copy"]),
                unknown=int(values["unknown"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f'config.json, "architecture": {reason(error)}: restore the file from a copy'
            ) from error
        if made.score not in SCORES:
            known = ", ".join(SCORES)
            raise FormatError(
                f"config.json: expected a score of {known}, received {made.score!r}: restore the "
                "file from a copy"
            )
        return made

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "encoder": self.encoder.to_json(),
            "decoder": self.decoder.to_json(),
            "reader": None if self.reader is None else self.reader.to_json(),
            "score": self.score,
            "copy": self.copy,
            "unknown": self.unknown,
        }


@dataclass(frozen=True, slots=True)
class Memory:
    """What the encoder made of B sources.

    values: (B, S, M). outside: booleans (B, 1, S), steps behind a source's end. keys: of each
    attention what it compares queries with, (B, S, ·), where that is not the values. copied: the
    ids (B, S) that copies of each step write, or None; below V + extra.
    """

    values: np.ndarray
    outside: np.ndarray
    keys: tuple[np.ndarray | None, ...]
    copied: np.ndarray | None
    extra: int

    def of(self, owner: np.ndarray) -> "Memory":
        """The memory of each stream (N,), which belongs to a source."""
        if np.array_equal(owner, np.arange(len(self.values))):
            return self
        keys = tuple(None if key is None else key[owner] for key in self.keys)
        copied = None if self.copied is None else self.copied[owner]
        return Memory(self.values[owner], self.outside[owner], keys, copied, self.extra)


@dataclass(frozen=True, slots=True)
class TranslatorState:
    """N streams, each of which writes a translation of the source `owner` (N,) of the memory."""

    memory: Memory
    owner: np.ndarray
    decoder: States
    reader: States


class RuntimeTranslator:
    """The model of `network` with its weights; steps for `search`.

    Args:
        architecture: layers, attention.
        tensors: weights, named as in `EncoderDecoder`; float32.
        precision: of the layers' products; `bf16` where the kernels can.

    Raises:
        InputError: a cell is not known here, or products of that precision cannot be had.
        FormatError: a weight is missing, or its shape does not fit the others.
    """

    def __init__(
        self,
        architecture: TranslatorArchitecture,
        tensors: Mapping[str, np.ndarray],
        *,
        precision: str = "float32",
    ) -> None:
        self.architecture = architecture
        weights = Weights(tensors)
        self._target = weights.get("target_embedding.weight")
        self.vocab_size, width = self._target.shape
        if not 0 <= architecture.unknown < self.vocab_size:
            raise FormatError(
                f"config.json: expected an unknown token below {self.vocab_size}, "
                f"received {architecture.unknown}: restore the file from a copy"
            )
        shared = "source_embedding.weight" not in weights
        #: One matrix that is output layer and input is scaled as an input.
        tied = "head.weight" not in weights
        head = self._target if tied else weights.get("head.weight")
        if tied:
            self._target = self._target * np.float32(math.sqrt(width))
        self._source = self._target if shared else weights.get("source_embedding.weight")
        self._encoder, self._decoder = (
            RuntimeStack(a, weights, features=width, prefix=prefix, precision=precision)
            for a, prefix in (
                (architecture.encoder, "encoder."),
                (architecture.decoder, "decoder."),
            )
        )
        memory, last = self._encoder.output_size, self._decoder.output_size
        self._attentions = [_Attention(architecture.score, weights, "attention", last, memory)]
        self._reader: RuntimeStack | None = None
        if architecture.reader is not None:
            self._reader = RuntimeStack(
                architecture.reader,
                weights,
                features=last + memory,
                prefix="reader.",
                precision=precision,
            )
            last = self._reader.output_size
            second = _Attention(architecture.score, weights, "second", last, memory)
            self._attentions.append(second)
        states = [self._decoder.start(1), () if self._reader is None else self._reader.start(1)]
        self._sizes = [[[s.shape[1] for s in layer] for layer in part] for part in states]
        total = sum(size for part in self._sizes for layer in part for size in layer)
        self._bridge = _linear(weights, "bridge", (total, memory))
        features = weights.get("combine.weight").shape[0]
        self._combine = _linear(weights, "combine", (features, last + memory))
        if head.shape != (self.vocab_size, features):
            raise FormatError(
                "model.safetensors: expected an output layer of shape "
                f"{(self.vocab_size, features)}, found {head.shape}: restore the file from a copy"
            )
        self._head = Product(head, weights.get("head.bias", (self.vocab_size,)))
        self._copy = None
        if architecture.copy:
            self._copy = _linear(weights, "copy", (1, features + width))

    @property
    def source_vocabulary(self) -> int:
        """How many tokens of the source it tells apart."""
        return len(self._source)

    def start(
        self, source: np.ndarray, lengths: np.ndarray, *, copied: np.ndarray | None = None
    ) -> TranslatorState:
        """Read sources, ids (B, S) of which the first `lengths` (B,) count, for a stream each.

        copied: what a copy of each step writes, (B, S), of models that copy.
        """
        batch, steps = source.shape
        outputs, ended = self._encoder.run(self._source[source.T], lengths=lengths)
        values = np.ascontiguousarray(outputs.transpose(1, 0, 2))
        outside = np.arange(steps)[None, None, :] >= np.asarray(lengths)[:, None, None]
        keys = tuple(attention.keys(values) for attention in self._attentions)
        directions = 2 if self.architecture.encoder.bidirectional else 1
        last = np.concatenate([layer[0] for layer in ended[-directions:]], axis=-1)
        extra = 0
        if self._copy is not None:
            assert copied is not None
            inside = np.where(outside[:, 0], 0, copied)
            copied, extra = inside, max(0, int(inside.max(initial=0)) + 1 - self.vocab_size)
        states = self._initial(np.tanh(self._bridge(last)))
        memory = Memory(values, outside, keys, copied if self._copy else None, extra)
        return TranslatorState(memory, np.arange(batch), *states)

    def step(self, ids: np.ndarray, state: TranslatorState) -> tuple[np.ndarray, TranslatorState]:
        """Read one token a stream, ids (N,): logits (N, V + extra) of the next one, new state."""
        memory = state.memory.of(state.owner)
        features, weights, copy, decoder, reader = self._decode(ids[None], memory, state)
        logits = self._head(features[:, 0])
        if copy is not None:
            logits = self._mixed(logits, weights[:, 0], copy[:, 0], memory)
        return logits, TranslatorState(state.memory, state.owner, decoder, reader)

    def select(self, state: TranslatorState, rows: np.ndarray) -> TranslatorState:
        """The streams `rows` (M,) of `state`, in that order; a row may occur repeatedly."""
        decoder, reader = select(state.decoder, rows), select(state.reader, rows)
        return TranslatorState(state.memory, state.owner[rows], decoder, reader)

    def read(
        self, inputs: np.ndarray, targets: np.ndarray, state: TranslatorState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read ids (N, T): ln P of targets (N, T) (float64), and where steps looked (N, T, S)."""
        memory = state.memory.of(state.owner)
        features, weights, copy, _, _ = self._decode(inputs.T, memory, state)
        found = np.empty(targets.shape)
        for t in range(targets.shape[1]):  # step by step, which bounds memory
            logits = self._head(features[:, t]).astype(np.float64)
            if copy is not None:
                logits = self._mixed(logits, weights[:, t], copy[:, t], memory)
            peak = logits.max(-1, keepdims=True)
            total = peak[:, 0] + np.log(row_sums(np.exp(logits - peak))[:, 0])
            found[:, t] = logits[np.arange(len(logits)), targets[:, t]] - total
        return found, weights

    def _decode(
        self, ids: np.ndarray, memory: Memory, state: TranslatorState
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, States, States]:
        """Read ids (T, N): features (N, T, F), weights (N, T, S), logits of copying, states."""
        known = np.where(ids < self.vocab_size, ids, self.architecture.unknown)
        y = self._target[known]
        outputs, decoder = self._decoder.run(y, states=state.decoder)
        queries = outputs.transpose(1, 0, 2)
        context, weights = self._attentions[0](queries, memory, 0)
        reader = state.reader
        if self._reader is not None:
            x = np.concatenate((queries, context), axis=-1).transpose(1, 0, 2)
            outputs, reader = self._reader.run(x, states=state.reader)
            queries = outputs.transpose(1, 0, 2)
            context, weights = self._attentions[1](queries, memory, 1)
        features = np.tanh(self._combine(np.concatenate((queries, context), axis=-1)))
        copy = None
        if self._copy is not None:
            read = np.concatenate((features, y.transpose(1, 0, 2)), axis=-1)
            copy = self._copy(read)[..., 0]
        return features, weights, copy, decoder, reader

    def _mixed(
        self, logits: np.ndarray, weights: np.ndarray, copy: np.ndarray, memory: Memory
    ) -> np.ndarray:
        """ln P (N, V + extra) of a token, written or copied: (1 - p) P(written) + p P(copied)."""
        assert memory.copied is not None
        logits = logits - logits.max(-1, keepdims=True)
        written = np.exp(logits)
        share = 1 / (1 + np.exp(-copy.astype(np.float64)))[:, None]
        mixed = np.zeros((len(logits), self.vocab_size + memory.extra))
        mixed[:, : self.vocab_size] = (1 - share) * (written / written.sum(-1, keepdims=True))
        np.add.at(mixed, (np.arange(len(logits))[:, None], memory.copied), share * weights)
        with np.errstate(divide="ignore"):
            found: np.ndarray = np.log(mixed)
        return found

    def _initial(self, flat: np.ndarray) -> list[States]:
        """States of the decoder and its reader from (B, ·): state by state, layer by layer."""
        made, at = [], 0
        for part in self._sizes:
            layers: list[list[np.ndarray]] = [[] for _ in part]
            for state in range(len(part[0]) if part else 0):
                for layer, sizes in enumerate(part):
                    layers[layer].append(np.ascontiguousarray(flat[:, at : at + sizes[state]]))
                    at += sizes[state]
            made.append(tuple(tuple(layer) for layer in layers))
        return made


class _Attention:
    """See `recurra.nn.attention.Attention`."""

    def __init__(self, score: str, weights: Weights, name: str, query: int, memory: int) -> None:
        self._score = score
        if score == "additive":
            units = weights.get(f"{name}.query.weight").shape[0]
            self._query = Product(weights.get(f"{name}.query.weight", (units, query)))
            self._key = _linear(weights, f"{name}.key", (units, memory))
            self._energy = weights.get(f"{name}.energy", (units,))
        elif score == "general":
            self._query = Product(weights.get(f"{name}.key.weight", (query, memory)).T)

    def keys(self, values: np.ndarray) -> np.ndarray | None:
        """What queries are compared with, where it is not the values (B, S, M) themselves."""
        return self._key(values) if self._score == "additive" else None

    def __call__(
        self, queries: np.ndarray, memory: Memory, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Contexts (N, T, M) and weights (N, T, S) of queries (N, T, Q)."""
        keys = memory.keys[number]
        if keys is not None:
            mixed = np.tanh(self._query(queries)[:, :, None] + keys[:, None])
            scores = matmul(mixed, self._energy)
        else:
            q = self._query(queries) if self._score == "general" else queries
            scores = matmul(q, memory.values.transpose(0, 2, 1))
        scores = np.where(memory.outside, -np.inf, scores)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= row_sums(weights)
        return matmul(weights, memory.values), weights


def _linear(weights: Weights, name: str, shape: tuple[int, int]) -> Product:
    weight = weights.get(f"{name}.weight", shape)
    return Product(weight, weights.get(f"{name}.bias", shape[:1]))
