"""A sequence tagger without torch: words in, a score for each of their tags out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recurra import native, rowwise
from recurra.errors import FormatError
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack
from recurra.runtime.states import States, pack
from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Row
from recurra.tasks.tagger.viterbi import Chain
from recurra.tasks.tagger.word_forms import Bags, Batch, WordForms

#: Sentences are read so many side by side.
_ROWS = 64


@dataclass(frozen=True, eq=False)
class TaggerPlace:
    """Where one network stands in a sentence.

    scores: (n + 2 h, W, K), what features say of the last n words and of those h before and behind
    them, where W = 2 h + 1 words count. outputs: (n, K), the other scores of these n words, which
    wait for h further ones.
    """

    row: Row[States]
    scores: np.ndarray
    outputs: np.ndarray


class RuntimeTagger:
    """The network of a tagger, from its tensors (see `recurra.tasks.tagger.network.Tagger`).

    Args:
        architecture: the layers.
        spelling: the layer that reads characters.
        tensors: all weights by name.
        allowed: steps between tags (K + 2, K + 2), as `recurra.tasks.tagger.crf.CRF` has them.
        precision: of the layers' products.

    Raises:
        FormatError: weights that are missing or do not fit.
        InputError: products of that precision cannot be had.
    """

    def __init__(
        self,
        architecture: Architecture,
        spelling: Architecture,
        tensors: Mapping[str, np.ndarray],
        *,
        allowed: np.ndarray,
        precision: str = "float32",
    ) -> None:
        weights = Weights(tensors)
        self.bidirectional = architecture.bidirectional
        self._words = self._characters = self._spelling = None
        features = 0
        if "embedding.weight" in weights:
            self._words = weights.get("embedding.weight")
            features += self._words.shape[1]
        self._grams = None
        if "grams.weight" in weights:
            self._grams = weights.get("grams.weight")
            features += self._grams.shape[1]
        if "spelling.embedding.weight" in weights:
            self._characters = weights.get("spelling.embedding.weight")
            self._spelling = RuntimeStack(
                spelling,
                weights,
                features=self._characters.shape[1],
                prefix="spelling.rnn.",
                precision=precision,
            )
            features += self._spelling.output_size
        self._stack = RuntimeStack(architecture, weights, features=features, precision=precision)
        head = weights.get("head.weight")
        tags = len(head)
        self._head = native.Product(head, weights.get("head.bias", (tags,)))
        self._features = None
        if "features.weight" in weights:
            self._features = weights.get("features.weight")
            if self._features.shape[1] % (2 * tags) != tags:
                raise FormatError(
                    f"model.safetensors, features.weight: expected scores of {tags} tags at an odd "
                    f"number of words, received shape {self._features.shape}: restore the file "
                    "from a copy"
                )
        if head.shape[1] != self._stack.output_size or len(allowed) != tags + 2:
            raise FormatError(
                f"model.safetensors, head.weight: expected shape "
                f"{(len(allowed) - 2, self._stack.output_size)}, received {head.shape}: restore "
                "the file from a copy"
            )
        self.chain = Chain.free(tags)
        if "crf.transitions" in weights:
            scores = (
                weights.get("crf.start", (tags,)),
                weights.get("crf.transitions", (tags, tags)),
                weights.get("crf.end", (tags,)),
            )
            open_steps = (allowed[-2, :-2], allowed[:-2, :-2], allowed[:-2, -1])
            pairs = zip(scores, open_steps, strict=True)
            self.chain = Chain(*(np.where(a, s.astype(np.float64), -np.inf) for s, a in pairs))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many words, n-grams, characters, features and tags there are weights for; 0 of what
        is not read."""
        tables = (self._words, self._grams, self._characters, self._features)
        sizes = [0 if rows is None else len(rows) for rows in tables]
        return (*sizes, self._head.shape[0])

    def emissions(self, sentences: Sequence[np.ndarray], forms: WordForms) -> list[np.ndarray]:
        """Score the tags of sentences, each as forms (T,): (T, K) float32 of each, in their order.

        A sentence's scores do not depend on which others are read with it.
        """
        found: list[np.ndarray] = [np.zeros((0, self._head.shape[0]), np.float32)] * len(sentences)
        order = sorted(
            (k for k, s in enumerate(sentences) if len(s)), key=lambda k: len(sentences[k])
        )
        for rows in _parts(order):
            batch = forms.batch([sentences[k] for k in rows])
            outputs, _ = self._stack.run(self._read(batch), lengths=batch.lengths)
            scores = self._head(outputs)
            if self._features is not None:
                scores = scores + self._told_by_features(self._features, batch)
            for column, k in enumerate(rows):
                found[k] = scores[: len(sentences[k]), column]
        return found

    def _read(self, batch: Batch) -> np.ndarray:
        """The words of a batch as features (T, B, I)."""
        parts = [] if self._words is None else [self._words[batch.words]]
        if self._grams is not None:
            scale = np.sqrt(np.maximum(batch.grams.counts, 1), dtype=np.float32)
            parts.append((_sums(self._grams, batch.grams) / scale[:, None])[batch.places])
        if self._spelling is not None:
            assert self._characters is not None
            spelled = []
            for characters, lengths in batch.groups:
                _, states = self._spelling.run(self._characters[characters], lengths=lengths)
                spelled.append(np.concatenate([state[0] for state in states], axis=1))
            parts.append(np.concatenate(spelled)[batch.places])
        return np.concatenate(parts, axis=2)

    @property
    def members(self) -> "list[RuntimeTagger]":
        """The networks of the committee: itself."""
        return [self]

    def begin(self) -> TaggerPlace:
        """The place before any word."""
        tags, width = self._head.shape[0], self._width
        scores = np.zeros((width // 2, width, tags), np.float32)
        return TaggerPlace(Row(self._stack.start(1)), scores, np.zeros((0, tags), np.float32))

    def advance(
        self, places: Sequence[TaggerPlace], batch: Batch
    ) -> list[tuple[TaggerPlace, np.ndarray]]:
        """Read further words, a column of the batch at each place, from one on: the places after
        them, and the scores (T, K) of the words that have all they wait for."""
        outputs, rows = self._stack.advance_padded(
            self._read(batch), batch.lengths, [place.row for place in places]
        )
        told = None if self._features is None else self._of_features(self._features, batch)
        found = []
        for column, (place, y, row) in enumerate(zip(places, outputs, rows, strict=True)):
            more = self._no_scores(len(y)) if told is None else told[: len(y), column]
            found.append(self._complete(place, self._head(y), more, row))
        return found

    def end(self, place: TaggerPlace) -> tuple[TaggerPlace, np.ndarray]:
        """The scores of the last words, of a sentence that ends."""
        none = np.zeros((0, self._head.shape[0]), np.float32)
        return self._complete(place, none, self._no_scores(self._width // 2), place.row)

    def pack(self, place: TaggerPlace, prefix: str) -> dict[str, np.ndarray]:
        """A place as arrays by name."""
        waiting = {f"{prefix}.scores": place.scores, f"{prefix}.outputs": place.outputs}
        return {**pack(place.row, f"{prefix}.layers"), **waiting}

    def unpack(self, saved: Saved, prefix: str) -> TaggerPlace:
        """The place that `pack` wrote; FormatError for anything else."""
        tags, width = self._head.shape[0], self._width
        outputs = saved.array(f"{prefix}.outputs", (None, tags), float)
        rows = (len(outputs) + width // 2, width, tags)
        scores = saved.array(f"{prefix}.scores", rows, float)
        return TaggerPlace(Row(self._stack.unpack(saved, f"{prefix}.layers")), scores, outputs)

    @property
    def _width(self) -> int:
        """W, the words whose features count for one."""
        return 1 if self._features is None else self._features.shape[1] // self._head.shape[0]

    def _no_scores(self, count: int) -> np.ndarray:
        return np.zeros((count, self._width, self._head.shape[0]), np.float32)

    def _complete(
        self, place: TaggerPlace, outputs: np.ndarray, scores: np.ndarray, row: Row[States]
    ) -> tuple[TaggerPlace, np.ndarray]:
        outputs = np.concatenate([place.outputs, outputs])
        if self._features is None:
            return TaggerPlace(row, place.scores, outputs[:0]), outputs
        scores = np.concatenate([place.scores, scores])
        count = max(0, len(scores) - self._width + 1)
        ready = outputs[:count] + _beside(scores, count)
        return TaggerPlace(row, scores[count:], outputs[count:]), ready

    def _of_features(self, weight: np.ndarray, batch: Batch) -> np.ndarray:
        """What the features of each word say of those beside it and of itself, (T, B, W, K)."""
        scores = _sums(weight, batch.features)[batch.places]
        scores[np.arange(len(batch.places))[:, None] >= batch.lengths] = 0
        return scores.reshape(*batch.places.shape, self._width, self._head.shape[0])

    def _told_by_features(self, weight: np.ndarray, batch: Batch) -> np.ndarray:
        """Scores (T, B, K): see `recurra.tasks.tagger.network.FeatureScores`."""
        scores, half = self._of_features(weight, batch), self._width // 2
        beside = np.pad(scores, ((half, half), (0, 0), (0, 0), (0, 0)))
        return _beside(beside, len(scores))


class RuntimeCommittee:
    """Several taggers, whose scores are averaged (see `network.TaggerCommittee`).

    Args:
        members: how many; their tensors' names begin with `members.0.` and so on.
        The rest is `RuntimeTagger`'s.
    """

    def __init__(
        self,
        members: int,
        architecture: Architecture,
        spelling: Architecture,
        tensors: Mapping[str, np.ndarray],
        *,
        allowed: np.ndarray,
        precision: str = "float32",
    ) -> None:
        self.members = []
        for index in range(members):
            prefix = f"members.{index}."
            own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            made = RuntimeTagger(architecture, spelling, own, allowed=allowed, precision=precision)
            self.members.append(made)
        chains = [member.chain for member in self.members]
        self.chain = Chain(
            np.mean([c.start for c in chains], axis=0),
            np.mean([c.transitions for c in chains], axis=0),
            np.mean([c.end for c in chains], axis=0),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `RuntimeTagger.sizes`."""
        return self.members[0].sizes

    def emissions(self, sentences: Sequence[np.ndarray], forms: WordForms) -> list[np.ndarray]:
        """See `RuntimeTagger.emissions`."""
        every = [member.emissions(sentences, forms) for member in self.members]
        return [rowwise.mean(scores) for scores in zip(*every, strict=True)]


def _beside(scores: np.ndarray, count: int) -> np.ndarray:
    """The scores (count, ..., K) of words, each the sum of what the W words around it say: scores
    (count + W - 1, ..., W, K), from the first of those before."""
    width = scores.shape[-2]
    found: np.ndarray = np.sum([scores[k : k + count, ..., k, :] for k in range(width)], axis=0)
    return found


def _sums(vectors: np.ndarray, bags: Bags) -> np.ndarray:
    """Of each bag the sum of its things' vectors."""
    found = np.zeros((len(bags.counts), vectors.shape[1]), np.float32)
    some = bags.counts > 0
    if some.any():
        starts = np.cumsum(bags.counts) - bags.counts
        found[some] = np.add.reduceat(vectors[bags.items], starts[some], axis=0)
    return found


def _parts(rows: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]
