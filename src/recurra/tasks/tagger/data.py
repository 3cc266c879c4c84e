"""From tagged sentences to what the network trains on."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.labels import TEXTS, LabelKinds, dtype_of, read_labels
from recurra.errors import FormatError, InputError
from recurra.given import (
    NOTHING,
    LeftOut,
    brief,
    is_path,
    listed,
    pairs_of,
    path_of,
    reason,
    settled,
    shown,
)
from recurra.storage import ModelFiles
from recurra.tasks.pretrained import weights_sha256, words_of
from recurra.tasks.tagger.conll import read_tagged
from recurra.tasks.tagger.scheme import (
    SCHEMES,
    breach,
    find_scheme,
    is_entity_tag,
    marks_entities,
    strangers,
)
from recurra.tasks.tagger.settings import TaggerColumns, TaggerData, TaggerSettings
from recurra.tasks.tagger.word_forms import WordForms, WordVocabulary

#: A file, several of them, or sentences: pairs of words and tags.
Source = str | Path | Sequence[str | Path] | Sequence[tuple[Sequence[str], Sequence[str]]]


@dataclass(frozen=True)
class Sentences:
    """Words and tags of sentences, what was left out, and what identifies them.

    tags: as texts; kinds: which tags they stand for. places: of each sentence its file and the
    lines of its words; empty of sentences in memory.
    """

    name: str
    words: list[tuple[str, ...]]
    tags: list[tuple[str, ...]]
    skipped: tuple[str, ...] = ()
    places: tuple[tuple[str, tuple[int, ...]], ...] = ()
    kinds: LabelKinds = TEXTS

    def __len__(self) -> int:
        return len(self.words)

    @property
    def left_out(self) -> LeftOut:
        """How many sentences could not be read, and the first of them."""
        return LeftOut.of(self.skipped, kept=len(self), unit="sentences")

    def where(self, sentence: int, word: int) -> str:
        """Where a word stands; both are numbers from 0."""
        if not self.places:
            return f"sentence {sentence + 1}, word {word + 1}"
        name, lines = self.places[sentence]
        return f"{name}:{lines[min(word, len(lines) - 1)]}"

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
        places = tuple(self.places[k] for k in chosen) if self.places else ()
        return Sentences(self.name, words, tags, self.skipped, places, self.kinds)


@dataclass(frozen=True)
class Prepared:
    """Training and held-out sentences, and what was learnt of the former.

    counts: how often each word of the vocabulary occurs (V,). tags: as texts; kinds: what they
    stand for. scheme: how the tags mark entities (see `find_scheme`); entities: whether they do;
    scored: whether those of the held-out sentences do, too. train: sentences as forms and tags as
    numbers. left_out: sentences that could not be used. notes: which tags keep entities from being
    chosen together or scored, and where they stand.
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
    kinds: LabelKinds = TEXTS
    scored: bool = False
    left_out: LeftOut = NOTHING
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What a run must share with the one it continues."""
        hashes = ("train_sha256", "valid_sha256", "pretrained_sha256")
        return {n.removesuffix("_sha256"): self.about[n] for n in hashes if n in self.about}


@dataclass(frozen=True)
class Learnt:
    """What a network is built for: the fields of `Prepared` that a model directory holds; words
    have no counts there."""

    vocabulary: WordVocabulary
    tags: tuple[str, ...]
    scheme: str | None
    counts: None = None

    @property
    def entities(self) -> bool:
        """Whether tags mark entities."""
        return marks_entities(self.tags)


def read(source: Source, columns: TaggerColumns) -> Sentences:
    """The tagged sentences of files, or those given.

    Raises:
        InputError: what cannot be read, or has no tags.
    """
    if isinstance(source, Sentences):
        return source
    expected = "a file, files, or pairs (words, tags)"
    source = pairs_of(settled(source), "words", "tags")
    files: list[Any] = [source] if is_path(source) else listed(source, "data", expected)
    if not files:
        raise InputError("data: expected tagged sentences, received none")
    if not all(map(is_path, files)):
        return _given(files)
    texts = [read_tagged(path_of(file, "data", expected), **columns.reading()) for file in files]
    found = [sentence for text in texts for sentence in text.sentences]
    name = Path(str(files[0])).name if len(files) == 1 else f"{len(files)} files"
    return Sentences(
        name,
        [sentence.words for sentence in found],
        [sentence.tags or () for sentence in found],
        tuple(line for text in texts for line in text.skipped),
        tuple((text.name, sentence.lines) for text in texts for sentence in text.sentences),
    )


def prepare(
    source: Source,
    valid: Source | None,
    config: TaggerSettings,
    data: TaggerData,
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
    left_out = train.left_out
    if valid is None:
        train, held_out = hold_out(train, data.valid_share, seed=seed)
    else:
        held_out = read(valid, data)
        left_out += held_out.left_out
    kinds = train.kinds
    tags = kinds.sorted({tag for row in train.tags for tag in row})
    if files is not None:
        vocabulary, known, scheme = vocabulary_of(files), *tags_of(files)
        kinds = kinds_of(files)
        if new := sorted(set(tags) - set(known)):
            raise InputError(
                f"{train.name}: the tags {', '.join(map(brief, new[:5]))} are new to the model, "
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
        raise InputError(
            f"{train.name}: expected at least two tags, received {brief(tags[0])} only"
        )
    entities = marks_entities(tags)
    strange = [strangers(part.tags, part.where) for part in (train, held_out)]
    scored = (
        entities
        and strange[1] is None
        and marks_entities({tag for row in held_out.tags for tag in row} | set(tags))
    )
    notes = _notes(config, entities, scored, strange[0] or strange[1])
    if files is None and entities and config.crf is not False and config.constrain:
        broken = breach(train.tags, train.where)
        notes += [f"{broken}: the CRF is held to no scheme: {_MEND}"] if broken else []
    forms = WordForms(vocabulary)
    number = {tag: k for k, tag in enumerate(tags)}
    about = {
        "name": train.name,
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
        entities,
        forms,
        [forms.encode(row) for row in train.words],
        [np.array([number[tag] for tag in row], np.int64) for row in train.tags],
        [forms.encode(row) for row in held_out.words],
        held_out,
        about,
        kinds,
        scored,
        left_out,
        tuple(notes),
    )


_MEND = "correct the tag in the data"


def _notes(config: TaggerSettings, entities: bool, scored: bool, strange: str | None) -> list[str]:
    """What a tag that marks no entity, among others that do, switches off."""
    if strange is None:
        return []
    off = [] if scored else ["F1 of entities"]
    if not entities:
        off += ["the CRF"] if config.crf is None else []
        off += ["its scheme"] if config.constrain and config.crf is not False else []
    *others, last = off or ["the scores of entities"]
    named = f"{', '.join(others)} and {last}" if others else last
    return [f"{strange}: {named} switched off: {_MEND}"]


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
        strange = [] if scheme is None else [tag for tag in tags if not is_entity_tag(tag)]
        if strange:
            raise FormatError(
                f"{files.path}: config.json: the tag {brief(strange[0])} is none of entities, and "
                f"the scheme is {scheme}: restore the file from a copy"
            )
        return tuple(tags), scheme
    raise FormatError(
        f"{files.path}: config.json: expected a list of tags and a scheme of {', '.join(SCHEMES)} "
        f"or null, found {brief(tags)} and {brief(scheme)}: restore the file from a copy"
    )


def kinds_of(files: ModelFiles) -> LabelKinds:
    """What the tags of a model stand for; FormatError where its files do not say."""
    try:
        return LabelKinds.from_json(files.config.get("tag_kinds"), tags_of(files)[0])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{files.path}: config.json, tag_kinds: expected a kind of each tag, which cannot be "
            f"read ({reason(error)}): restore the file from a copy"
        ) from error


def _given(pairs: Sequence[Any]) -> Sentences:
    """Sentences given as pairs of words and tags."""
    words: list[tuple[str, ...]] = []
    given: list[Any] = []
    places: list[str] = []
    for k, pair in enumerate(pairs):
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise InputError(
                f"sentence {k + 1}: expected a pair of words and tags, received {shown(pair)}"
            )
        row = check_words(pair[0], k)
        tags = listed(pair[1], f"sentence {k + 1}", "a list of tags")
        if len(row) != len(tags) or not row:
            raise InputError(
                f"sentence {k + 1}: expected a tag for each of {len(row)} words, "
                f"received {len(tags)}"
            )
        words.append(row)
        given.extend(tags)
        places += [f"sentence {k + 1}, word {i + 1}" for i in range(len(row))]
    texts, kinds = read_labels(given, places)
    dtypes = {dtype_of(tags) for _, tags in pairs}
    if len(dtypes) == 1:
        kinds = replace(kinds, dtype=dtypes.pop())
    ends = np.cumsum([len(row) for row in words]).tolist()
    tags_of_each = [
        tuple(texts[end - len(row) : end]) for row, end in zip(words, ends, strict=True)
    ]
    return Sentences("sentences", words, tags_of_each, kinds=kinds)


def check_words(words: Any, k: int) -> tuple[str, ...]:
    """The words of the k-th sentence; InputError where they are none."""
    if isinstance(words, str):
        raise InputError(f"sentence {k + 1}: expected a list of words, received a text: split it")
    row = listed(words, f"sentence {k + 1}", "a list of words")
    for word in row:
        if not isinstance(word, str) or not word:
            raise InputError(f"sentence {k + 1}: expected words, received {brief(word)}")
    return tuple(map(str, row))
