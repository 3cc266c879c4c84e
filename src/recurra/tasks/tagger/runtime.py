"""A sequence tagger without torch: words in, a score for each of their tags out."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from recurra import native, rowwise
from recurra.errors import FormatError
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack
from recurra.tasks.tagger.viterbi import Chain
from recurra.tasks.tagger.word_forms import Bags, Batch, WordForms

#: Sentences are read so many side by side.
_ROWS = 64


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
                    f"number of words, received shape {self._features.shape}"
                )
        if head.shape[1] != self._stack.output_size or len(allowed) != tags + 2:
            raise FormatError(
                f"model.safetensors, head.weight: expected shape "
                f"{(len(allowed) - 2, self._stack.output_size)}, received {head.shape}"
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

    def _told_by_features(self, weight: np.ndarray, batch: Batch) -> np.ndarray:
        """Scores (T, B, K): see `recurra.tasks.tagger.network.FeatureScores`."""
        steps, tags = len(batch.places), self._head.shape[0]
        scores = _sums(weight, batch.features)[batch.places]
        scores[np.arange(steps)[:, None] >= batch.lengths] = 0
        scores = scores.reshape(*batch.places.shape, -1, tags)
        count = scores.shape[2]
        beside = np.pad(scores, ((count // 2, count // 2), (0, 0), (0, 0), (0, 0)))
        found: np.ndarray = np.sum([beside[k : k + steps, :, k] for k in range(count)], axis=0)
        return found


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
        self._members = []
        for index in range(members):
            prefix = f"members.{index}."
            own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            made = RuntimeTagger(architecture, spelling, own, allowed=allowed, precision=precision)
            self._members.append(made)
        chains = [member.chain for member in self._members]
        self.chain = Chain(
            np.mean([c.start for c in chains], axis=0),
            np.mean([c.transitions for c in chains], axis=0),
            np.mean([c.end for c in chains], axis=0),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `RuntimeTagger.sizes`."""
        return self._members[0].sizes

    def emissions(self, sentences: Sequence[np.ndarray], forms: WordForms) -> list[np.ndarray]:
        """See `RuntimeTagger.emissions`."""
        every = [member.emissions(sentences, forms) for member in self._members]
        return [rowwise.mean(scores) for scores in zip(*every, strict=True)]


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
