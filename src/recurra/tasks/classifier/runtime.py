"""A sequence classifier without torch: texts or numbers in, probabilities out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recurra import native, rowwise
from recurra.errors import FormatError
from recurra.runtime import pooling
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack
from recurra.runtime.states import States, pack
from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Row
from recurra.text.lexicon import Lexicon


@dataclass(frozen=True, eq=False)
class ClassifierPlace:
    """Where one network stands in a sequence."""

    row: Row[States]
    pooled: pooling.Pooled


#: Sequences are read so many side by side, fewer where they are long.
_ROWS, _STEPS = 64, 1 << 14


class RuntimeClassifier:
    """The network of a classifier, from its tensors (see `network.Classifier`).

    Args:
        architecture: the recurrent layers.
        tensors: all weights by name.
        pool: how outputs become one vector: `last`, `mean`, `max`, `attention`.
        features: I, of numeric input; None where the input is tokens.
        precision: of the layers' products.

    Raises:
        FormatError: weights that are missing or do not fit.
        InputError: products of that precision cannot be had.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Mapping[str, np.ndarray],
        *,
        pool: str,
        features: int | None = None,
        precision: str = "float32",
    ) -> None:
        weights = Weights(tensors)
        self._tokens = weights.get("embedding.weight") if features is None else None
        self._grams = weights.get("embedding.grams") if "embedding.grams" in weights else None
        if self._tokens is not None:
            features = self._tokens.shape[1]
        assert features is not None
        self._stack = RuntimeStack(architecture, weights, features=features, precision=precision)
        size = self._stack.output_size
        self.bidirectional = architecture.bidirectional
        self._pool = _pool(pool, weights, size, 2 if architecture.bidirectional else 1)
        self._running = pooling.RunningPool(self._pool, size)
        head = weights.get("head.weight")
        self._head = native.Product(head, weights.get("head.bias", (len(head),)))
        if head.shape[1] != size:
            raise FormatError(
                f"model.safetensors: expected a head that reads the {size} outputs of the layers, "
                f"found one that reads {head.shape[1]}: restore the file from a copy"
            )

    @property
    def members(self) -> "list[RuntimeClassifier]":
        """The networks of the committee: itself."""
        return [self]

    @property
    def classes(self) -> int:
        """C."""
        return self._head.shape[0]

    @property
    def vocabulary(self) -> tuple[int, int]:
        """How many tokens and how many n-grams there are weights for."""
        sizes = [0 if rows is None else len(rows) for rows in (self._tokens, self._grams)]
        return sizes[0], sizes[1]

    def texts(self, forms: Sequence[np.ndarray], lexicon: Lexicon) -> np.ndarray:
        """Probabilities (N, C) of texts as forms of a lexicon."""
        table = self._vectors(lexicon)
        return self._classify(forms, lambda chosen: table[chosen])

    def numbers(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities (N, C) of sequences (T, I)."""
        return self._classify(sequences, lambda chosen: chosen)

    def vectors(self, inputs: np.ndarray, lexicon: Lexicon | None) -> np.ndarray:
        """A sequence as the layers read it, (T, I): forms of a lexicon, or numbers."""
        return inputs if lexicon is None else self._vectors(lexicon)[inputs]

    def begin(self) -> "ClassifierPlace":
        """The place before any step."""
        return ClassifierPlace(Row(self._stack.start(1)), pooling.Pooled())

    def advance(
        self, places: "Sequence[ClassifierPlace]", sequences: Sequence[np.ndarray]
    ) -> "list[ClassifierPlace]":
        """Read further steps, (T, I) of vectors at each place, T from 1 on."""
        outputs, rows = self._stack.advance(sequences, [place.row for place in places])
        return [
            ClassifierPlace(row, self._running.extended(place.pooled, y))
            for place, y, row in zip(places, outputs, rows, strict=True)
        ]

    def probabilities(self, places: "Sequence[ClassifierPlace]") -> np.ndarray:
        """Probabilities (N, C) of what was read up to places."""
        return self._softmax(np.stack([self._running.value(one.pooled) for one in places]))

    def pack(self, place: "ClassifierPlace", prefix: str) -> dict[str, np.ndarray]:
        """A place as arrays by name."""
        return {**pack(place.row, f"{prefix}.layers"), **self._running.pack(place.pooled, prefix)}

    def unpack(self, saved: Saved, prefix: str) -> "ClassifierPlace":
        """The place that `pack` wrote; FormatError for anything else."""
        states = self._stack.unpack(saved, f"{prefix}.layers")
        return ClassifierPlace(Row(states), self._running.unpack(saved, prefix))

    def _classify(
        self, sequences: Sequence[np.ndarray], read: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        lengths = np.array([len(s) for s in sequences], np.int64)
        found = np.empty((len(sequences), self.classes), np.float32)
        for rows in _groups(lengths):
            steps = max(1, int(lengths[rows].max()))
            x = np.zeros((steps, len(rows), self._stack.features), np.float32)
            for column, row in enumerate(rows):
                x[: lengths[row], column] = read(sequences[row])
            outputs, _ = self._stack.run(x, lengths=lengths[rows])
            found[rows] = self._softmax(self._pool(outputs, lengths[rows]))
        return found

    def _vectors(self, lexicon: Lexicon) -> np.ndarray:
        """The vector of each form, (U, E)."""
        assert self._tokens is not None
        tokens, grams, counts = lexicon.rows(np.arange(len(lexicon)))
        found = self._tokens[tokens]
        if self._grams is None:
            return found
        ends = np.cumsum(counts)
        for row, (end, count) in enumerate(zip(ends, counts, strict=True)):
            if count:
                found[row] += self._grams[grams[end - count : end]].sum(0)
        return found / np.sqrt((counts + 1).astype(np.float32))[:, None]

    def _softmax(self, pooled: np.ndarray) -> np.ndarray:
        logits = self._head(pooled.astype(np.float32))
        odds = np.exp(logits - logits.max(1, keepdims=True))
        found: np.ndarray = odds / odds.sum(1, keepdims=True)
        return found


class RuntimeCommittee:
    """Several classifiers, whose probabilities are averaged (see `network.Committee`).

    Args:
        members: how many; their tensors' names begin with `members.0.` and so on.
        The rest is `RuntimeClassifier`'s.
    """

    def __init__(
        self,
        members: int,
        architecture: Architecture,
        tensors: Mapping[str, np.ndarray],
        *,
        pool: str,
        features: int | None = None,
        precision: str = "float32",
    ) -> None:
        self.members = []
        for index in range(members):
            prefix = f"members.{index}."
            own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            made = RuntimeClassifier(
                architecture, own, pool=pool, features=features, precision=precision
            )
            self.members.append(made)

    @property
    def classes(self) -> int:
        """C."""
        return self.members[0].classes

    @property
    def vocabulary(self) -> tuple[int, int]:
        """How many tokens and how many n-grams there are weights for."""
        return self.members[0].vocabulary

    def texts(self, forms: Sequence[np.ndarray], lexicon: Lexicon) -> np.ndarray:
        """See `RuntimeClassifier.texts`."""
        return rowwise.mean([m.texts(forms, lexicon) for m in self.members])

    def numbers(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """See `RuntimeClassifier.numbers`."""
        return rowwise.mean([m.numbers(sequences) for m in self.members])


def _pool(kind: str, weights: Weights, size: int, directions: int) -> pooling.Pool:
    if kind == "last":
        return pooling.last(directions)
    if kind == "mean":
        return pooling.mean
    if kind == "max":
        return pooling.largest
    if kind == "attention":
        return pooling.Attention(
            weights.get("pool.inner.weight", (size, size)),
            weights.get("pool.inner.bias", (size,)),
            weights.get("pool.context.weight", (1, size)),
        )
    raise FormatError(
        f"config.json: pooling: expected last, mean, max or attention, found {kind!r}: restore "
        "the file from a copy"
    )


def _groups(lengths: np.ndarray) -> list[np.ndarray]:
    """Rows of similar length, side by side."""
    order = np.argsort(lengths, kind="stable")
    groups, start = [], 0
    while start < len(order):
        end = start + 1
        while (
            end < len(order)
            and end - start < _ROWS
            and (end - start + 1) * lengths[order[end]] <= _STEPS
        ):
            end += 1
        groups.append(order[start:end])
        start = end
    return groups
