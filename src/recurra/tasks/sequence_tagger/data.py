"""From tagged sentences to what the network trains on."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.conll import TaggedSentence, read_tagged
from recurra.data.word_forms import WordForms, WordVocabulary
from recurra.errors import FormatError, InputError
from recurra.metrics.tagging import SCHEMES
from recurra.storage import ModelFiles
from recurra.tasks.pretrained import weights_sha256, words_of
from recurra.tasks.sequence_tagger.config import ColumnsConfig, DataConfig, SequenceTaggerConfig
from recurra.tasks.sequence_tagger.scheme import find_scheme, marks_entities

#: A file, several of them, or sentences: pairs of words and tags.
Source = str | Path | Sequence[str | Path] | Sequence[tuple[Sequence[str], Sequence[str]]]


@dataclass(frozen=True)
class Sentences:
    """Words and tags of sentences, what was left out, and what identifies them."""

    name: str
    words: list[tuple[str, ...]]
    tags: list[tuple[str, ...]]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.words)

    @property
    def count(self) -> int:
        """How many words there are."""
        return sum(map(len, self.words))

    @property
    def sha256(self) -> str:
        """Of all words and tags."""
        digest = hashlib.sha256()
        for words, tags in zip(self.words, self.tags, strict=True):
            rows = (f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
            digest.update(("".join(rows) + "\n").encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def take(self, rows: Iterable[int]) -> "Sentences":
        """Some of the sentences."""
        chosen = list(rows)
        words, tags = ([kind[k] for k in chosen] for kind in (self.words, self.tags))
        return Sentences(self.name, words, tags, self.skipped)


@dataclass(frozen=True)
class Prepared:
    """Training and held-out sentences, and what was learnt of the former.

    counts: how often each word of the vocabulary occurs (V,). scheme: how the tags mark entities
    (see `find_scheme`); entities: whether they do. train: sentences as forms and tags as numbers.
    """

    vocabulary: WordVocabulary
    counts: np.ndarray
    tags: tuple[str, ...]
    scheme: str | None
    entities: bool
    forms: WordForms
    train: list[np.ndarray]
    wanted: list[np.ndarray]
    valid: list[np.ndarray]
    held_out: Sentences
    about: dict[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """What a run must share with the one it continues."""
        hashes = ("train_sha256", "valid_sha256", "pretrained_sha256")
        return {n.removesuffix("_sha256"): self.about[n] for n in hashes if n in self.about}


def read(source: Source, columns: ColumnsConfig) -> Sentences:
    """The tagged sentences of files, or those given.

    Raises:
        InputError: what cannot be read, or has no tags.
    """
    if isinstance(source, str | Path):
        files: list[Any] = [source]
    else:
        files = list(source)
        if files and not all(isinstance(part, str | Path) for part in files):
            return _given(files)
    if not files:
        raise InputError("data: expected tagged sentences, received none")
    found: list[TaggedSentence] = []
    skipped: list[str] = []
    for file in files:
        text = read_tagged(file, **columns.reading())
        found.extend(text.sentences)
        skipped.extend(text.skipped)
    name = Path(str(files[0])).name if len(files) == 1 else f"{len(files)} files"
    words, tags = [s.words for s in found], [s.tags or () for s in found]
    return Sentences(name, words, tags, tuple(skipped))


def prepare(
    source: Source,
    valid: Source | None,
    config: SequenceTaggerConfig,
    data: DataConfig,
    *,
    seed: int,
    files: ModelFiles | None,
    pretrained: ModelFiles | None = None,
) -> Prepared:
    """Read the sentences; learn vocabulary, tags and their scheme from those for training alone.

    Of a model that is trained further (`files`) they stay what they are; of a language model to
    begin from (`pretrained`) the words are.

    Raises:
        InputError: sentences that cannot be used.
    """
    train = read(source, data)
    if valid is None:
        train, held_out = hold_out(train, data.valid_share, seed=seed)
    else:
        held_out = read(valid, data)
    tags = tuple(sorted({tag for row in train.tags for tag in row}))
    if files is not None:
        vocabulary, known, scheme = vocabulary_of(files), *tags_of(files)
        if new := sorted(set(tags) - set(known)):
            raise InputError(
                f"{train.name}: the tags {', '.join(map(repr, new[:5]))} are new to the model, "
                f"which has {', '.join(known[:20])}: train one of its own"
            )
        tags = known
    else:
        scheme = find_scheme(train.tags)
        vocabulary = WordVocabulary.learn(
            train.words,
            min_count=config.min_count,
            gram_count=config.gram_count if config.subwords else 0,
            feature_count=config.feature_count if config.features else 0,
            lowercase=config.lowercase,
        )
        if pretrained is not None:
            vocabulary = replace(vocabulary, words=words_of(pretrained))
    if len(tags) < 2:
        raise InputError(f"{train.name}: expected at least two tags, received {tags[0]!r} only")
    forms = WordForms(vocabulary)
    number = {tag: k for k, tag in enumerate(tags)}
    about = {
        "data": train.name,
        "train_sentences": len(train),
        "train_words": train.count,
        "valid_sentences": len(held_out),
        "valid_words": held_out.count,
        "train_sha256": train.sha256,
        "valid_sha256": held_out.sha256,
        **({} if pretrained is None else {"pretrained_sha256": weights_sha256(pretrained)}),
        "skipped": len(train.skipped) + (len(held_out.skipped) if valid is not None else 0),
    }
    return Prepared(
        vocabulary,
        vocabulary.count(train.words),
        tags,
        scheme,
        marks_entities(tags),
        forms,
        [forms.encode(row) for row in train.words],
        [np.array([number[tag] for tag in row], np.int64) for row in train.tags],
        [forms.encode(row) for row in held_out.words],
        held_out,
        about,
    )


def hold_out(sentences: Sentences, share: float, *, seed: int) -> tuple[Sentences, Sentences]:
    """Sentences to train on, and a share of them, drawn at random, to choose the model by."""
    count = max(1, round(len(sentences) * share))
    if count >= len(sentences):
        raise InputError(
            f"{sentences.name}: expected at least two sentences, received {len(sentences)}: "
            "give more, or validation data"
        )
    order = np.random.default_rng([seed, 1]).permutation(len(sentences))
    return sentences.take(sorted(order[count:])), sentences.take(sorted(order[:count]))


def vocabulary_of(files: ModelFiles) -> WordVocabulary:
    """The words and characters of a model; FormatError where its files do not say."""
    return WordVocabulary.from_json(files.tokenizer)


def tags_of(files: ModelFiles) -> tuple[tuple[str, ...], str | None]:
    """The tags of a model, and how they mark entities; FormatError where its files do not say."""
    tags, scheme = files.config.get("tags"), files.config.get("scheme")
    right = scheme is None or scheme in SCHEMES
    if right and isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        return tuple(tags), scheme
    raise FormatError(f"{files.path}: config.json: expected a list of tags and a scheme")


def _given(pairs: Sequence[Any]) -> Sentences:
    """Sentences given as pairs of words and tags."""
    words, tags = [], []
    for k, pair in enumerate(pairs):
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise InputError(
                f"sentence {k + 1}: expected a pair of words and tags, "
                f"received {type(pair).__name__}"
            )
        row, given = (check_words(part, k) for part in pair)
        if len(row) != len(given) or not row:
            raise InputError(
                f"sentence {k + 1}: expected a tag for each of {len(row)} words, "
                f"received {len(given)}"
            )
        words.append(row)
        tags.append(given)
    return Sentences("sentences", words, tags)


def check_words(words: Sequence[Any], k: int) -> tuple[str, ...]:
    """The words of the k-th sentence; InputError where they are none."""
    if isinstance(words, str):
        raise InputError(f"sentence {k + 1}: expected a list of words, received a text: split it")
    for word in words:
        if not isinstance(word, str) or not word:
            raise InputError(f"sentence {k + 1}: expected words, received {word!r}")
    return tuple(words)
