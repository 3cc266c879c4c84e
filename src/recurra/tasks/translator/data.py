"""From pairs of texts to arrays of tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.errors import InputError
from recurra.given import is_path, listed, pairs_of, path_of, settled
from recurra.tasks.translator.pairs import Pairs, read_pairs
from recurra.tasks.translator.vocabulary import Vocabulary

#: A file of pairs; two files side by side, or several of pairs; pairs in memory.
Source = str | Path | Sequence[str | Path] | Sequence[tuple[str, str]] | Pairs

#: How a name ends that is a file of pairs; two files of other names are read side by side.
_OF_PAIRS = (".tsv", ".tab", ".jsonl", ".ndjson")


def open_pairs(source: Source, *, skip_bad: bool = False) -> Pairs:
    """Read pairs in any of the forms that `Source` names.

    Raises:
        InputError: see `read_pairs`.
    """
    if isinstance(source, Pairs):
        return source
    expected = "a file, files, or pairs (source, target)"
    if is_path(source):
        return read_pairs(path_of(source, "pairs", expected), skip_bad=skip_bad)
    rows = listed(pairs_of(settled(source), "source", "target"), "pairs", expected)
    if rows and all(map(is_path, rows)):
        paths = [path_of(row, "pairs", expected) for row in rows]
        plain = [not str(p).lower().removesuffix(".gz").endswith(_OF_PAIRS) for p in paths]
        if len(paths) == 2 and all(plain):
            return read_pairs([(paths[0], paths[1])], skip_bad=skip_bad)
        return read_pairs(paths, skip_bad=skip_bad)
    made = Pairs.of(rows)
    if not len(made):
        raise InputError(f"pairs: expected {expected}, received none")
    return made


def split_pairs(pairs: Pairs, share: float) -> tuple[Pairs, Pairs]:
    """Hold out a share of the sources, drawn at random, each with all of its targets.

    Raises:
        InputError: there is no source left on one of the sides.
    """
    sources = sorted(set(pairs.sources))
    held = math.ceil(share * len(sources))
    if held >= len(sources):
        raise InputError(
            f"pairs: expected sources for training besides the {held} held out, received "
            f"{len(sources)}: give more pairs, or held-out ones"
        )
    drawn = np.random.default_rng(0).permutation(len(sources))[:held]
    out = {sources[i] for i in drawn}
    parts = []
    for wanted in (False, True):
        rows = [i for i, source in enumerate(pairs.sources) if (source in out) is wanted]
        parts.append(
            Pairs(
                [pairs.sources[i] for i in rows],
                [pairs.targets[i] for i in rows],
                [pairs.places[i] for i in rows],
                pairs.skipped,
                pairs.sha256,
            )
        )
    return parts[0], parts[1]


@dataclass(frozen=True, eq=False)
class Batch:
    """Pairs as arrays. Nothing is carried from batch to batch.

    source (B, S), lengths (B,); inputs and targets (B, T), of which `counted` ones are there;
    copied (B, S) where tokens may be copied.
    """

    source: np.ndarray
    lengths: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    counted: np.ndarray
    copied: np.ndarray | None
    carry: bool = False

    @property
    def count(self) -> int:
        """Tokens of the targets, ends included."""
        return int(self.counted.sum())


class Encoded:
    """Pairs in tokens.

    Args:
        pairs: texts.
        vocabulary: of a model.
        copy: also find what copies write.
    """

    def __init__(self, pairs: Pairs, vocabulary: Vocabulary, *, copy: bool) -> None:
        self.vocabulary = vocabulary
        self.sources = [vocabulary.read_source(text) for text in pairs.sources]
        self.copied: list[np.ndarray] | None = None
        if copy:
            both = zip(pairs.sources, pairs.targets, strict=True)
            found = [vocabulary.read_copy(source, target) for source, target in both]
            self.copied, self.targets = [c for c, _ in found], [t for _, t in found]
        else:
            self.targets = [vocabulary.read_target(text) for text in pairs.targets]

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of both sides of each pair (N,)."""
        return np.array([len(s) + len(t) for s, t in zip(self.sources, self.targets, strict=True)])

    def growth(self) -> float:
        """How many tokens a target has for each of its source, ends included: 99 in 100 less."""
        ratios = [
            (len(t) + 1) / (len(s) + 1) for s, t in zip(self.sources, self.targets, strict=True)
        ]
        return float(np.percentile(ratios, 99))

    def batch(self, rows: np.ndarray, *, own: int | None = None) -> Batch:
        """The pairs `rows` (B,), of which the first `own` count."""
        source, lengths = pad([self.sources[i] for i in rows])
        targets, sizes = pad([np.append(self.targets[i], self.vocabulary.end) for i in rows])
        read = np.where(targets < len(self.vocabulary.target), targets, self.vocabulary.unknown)
        start = np.full((len(rows), 1), self.vocabulary.end)
        counted = np.arange(targets.shape[1])[None] < sizes[:, None]
        if own is not None:
            counted[own:] = False
        return Batch(
            source,
            lengths,
            np.concatenate((start, read[:, :-1]), axis=1),
            targets,
            counted,
            # Behind the end of a source nothing is looked at, so that no copy of it counts.
            None if self.copied is None else pad([self.copied[i] for i in rows])[0],
        )


def longest(growth: float, length: int) -> int:
    """The most tokens of a translation of so many, its end included."""
    return math.ceil(growth * (length + 1)) + 10


def within(pairs: Pairs, encoded: Encoded, limit: int | None) -> np.ndarray:
    """The pairs of which neither side has more tokens than `limit`.

    Raises:
        InputError: there is none.
    """
    if limit is None:
        return np.arange(len(encoded))
    sides = zip(encoded.sources, encoded.targets, strict=True)
    fits = np.flatnonzero([max(len(s), len(t)) <= limit for s, t in sides])
    if not len(fits):
        raise InputError(
            f"max_length={limit}: expected pairs that are as short, received none, as at "
            f"{pairs.places[0]}: allow more"
        )
    return fits


def pad(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids side by side (B, T) int64, zero behind their ends, and their lengths (B,)."""
    lengths = np.array([len(row) for row in rows], np.int64)
    padded = np.zeros((len(rows), int(lengths.max(initial=0))), np.int64)
    for row, ids in enumerate(rows):
        padded[row, : len(ids)] = ids
    return padded, lengths
