"""Words as a tagger reads them: a number of the vocabulary, character n-grams, characters."""

from collections import Counter
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recurra.errors import FormatError
from recurra.given import reason
from recurra.tasks.tagger.word_features import features as features_of
from recurra.text.lexicon import Subwords

UNK = "<unk>"
#: Of a longer word so many characters are read from its beginning, and as many from its end.
HALF = 16
#: Words of a batch whose characters are read together: those up to each of these lengths.
_LENGTHS = (5, 9, 14, 2 * HALF)


@dataclass(frozen=True)
class WordVocabulary:
    """The words and characters that are known, each with the first for all that are not.

    grams: character n-grams of words (see `recurra.text.lexicon.Subwords`). lowercase: words are
    looked up in lower case; their n-grams and characters always are as they stand. features: those
    of `recurra.tasks.tagger.word_features` that count.
    """

    words: tuple[str, ...]
    characters: tuple[str, ...]
    grams: tuple[str, ...] = ()
    lowercase: bool = False
    features: tuple[str, ...] = ()

    @classmethod
    def learn(
        cls,
        sentences: Iterable[Sequence[str]],
        *,
        min_count: int = 1,
        gram_count: int = 0,
        feature_count: int = 0,
        lowercase: bool = False,
    ) -> "WordVocabulary":
        """The vocabulary of sentences, most frequent first.

        Words that occur less than `min_count` times are left to `<unk>`, characters never are.
        N-grams are those in at least `gram_count` words, features those that are true of at least
        `feature_count` words of the sentences; 0 for none.
        """
        words, characters, forms = Counter[str](), Counter[str](), Counter[str]()
        for sentence in sentences:
            forms.update(sentence)
            for word in sentence:
                words[word.lower() if lowercase else word] += 1
                characters.update(word)
        known = [word for word in _by_count(words) if words[word] >= min_count and word != UNK]
        grams = Subwords.train(forms, min_count=gram_count).grams if gram_count else ()
        features: Counter[str] = Counter()
        for form, count in forms.items() if feature_count else ():
            features.update(dict.fromkeys(features_of(form), count))
        often = tuple(name for name in _by_count(features) if features[name] >= feature_count)
        return cls((UNK, *known), (UNK, *_by_count(characters)), grams, lowercase, often)

    def count(self, sentences: Iterable[Sequence[str]]) -> np.ndarray:
        """How often each word occurs in sentences, (V,), first the unknown ones."""
        places = {word: k for k, word in enumerate(self.words)}
        found = np.zeros(len(self.words), np.int64)
        for sentence in sentences:
            for word in sentence:
                found[places.get(word.lower() if self.lowercase else word, 0)] += 1
        return found

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "words": list(self.words),
            "characters": list(self.characters),
            "grams": list(self.grams),
            "lowercase": self.lowercase,
            "features": list(self.features),
        }

    @classmethod
    def from_json(cls, values: Any) -> "WordVocabulary":
        """What `to_json` wrote; FormatError where it is something else."""
        try:
            names = ("words", "characters", "grams")
            words, characters, grams = (tuple(map(str, values[key])) for key in names)
            features = tuple(map(str, values.get("features", ())))  # none before they were read
            if words[0] != UNK or characters[0] != UNK:
                raise ValueError(f"it does not begin with {UNK}")
            return cls(words, characters, grams, bool(values["lowercase"]), features)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FormatError(
                "tokenizer.json: expected words, characters and n-grams, which cannot be read "
                f"({reason(error)}): restore the file from a copy"
            ) from error


class Group(NamedTuple):
    """Forms of similar length: `characters` (L, N), padded, and their `lengths` (N,)."""

    characters: np.ndarray
    lengths: np.ndarray


class Bags(NamedTuple):
    """Of each of some forms any number of things: all of them in a row, and how many each has."""

    items: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[np.ndarray]) -> "Bags":
        """Those of rows of things."""
        return cls(np.concatenate(rows), np.array([len(row) for row in rows], np.int64))


class Batch(NamedTuple):
    """Sentences side by side.

    words: (T, B), numbers of the vocabulary. places: (T, B), rows among the distinct forms of the
    batch, which are in `groups`, one after the other. grams, features: those of each such form.
    lengths: (B,).
    """

    words: np.ndarray
    places: np.ndarray
    groups: tuple[Group, ...]
    grams: Bags
    features: Bags
    lengths: np.ndarray


class WordForms:
    """The distinct forms of words that were met, as numbers. It grows with `encode`."""

    def __init__(self, vocabulary: WordVocabulary) -> None:
        self._lowercase = vocabulary.lowercase
        self._words = {word: k for k, word in enumerate(vocabulary.words)}
        self._characters = {c: k for k, c in enumerate(vocabulary.characters)}
        self._subwords = Subwords(vocabulary.grams)
        self._features = {name: k for k, name in enumerate(vocabulary.features)}
        self._forget()

    def fresh(self) -> "WordForms":
        """The same vocabulary, with no form met yet."""
        made = copy(self)
        made._forget()
        return made

    def _forget(self) -> None:
        self._forms: dict[str, int] = {}
        self._known: list[int] = []
        self._spelled: list[np.ndarray] = []
        self._grams: list[np.ndarray] = []
        self._true: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._known)

    def encode(self, words: Sequence[str]) -> np.ndarray:
        """The forms of a sentence, (T,) int64."""
        found = np.empty(len(words), np.int64)
        for t, word in enumerate(words):
            form = self._forms.get(word)
            if form is None:
                form = self._forms[word] = len(self._known)
                self._add(word)
            found[t] = form
        return found

    def knows(self, word: str) -> bool:
        """Whether a word is in the vocabulary."""
        return (word.lower() if self._lowercase else word) in self._words

    def batch(self, sentences: Sequence[np.ndarray]) -> Batch:
        """Sentences as forms, padded with the first of their forms."""
        lengths = np.array([len(sentence) for sentence in sentences], np.int64)
        steps = max(1, int(lengths.max(initial=0)))
        first = next((int(s[0]) for s in sentences if len(s)), None)
        if first is None:
            first = int(self.encode([UNK])[0])
        forms = np.full((steps, len(sentences)), first, np.int64)
        for column, sentence in enumerate(sentences):
            forms[: len(sentence), column] = sentence
        distinct, places = np.unique(forms, return_inverse=True)
        groups, order = self._groups(distinct)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        known = np.array([self._known[form] for form in distinct], np.int64)
        places = places.reshape(forms.shape)
        grams, features = (
            Bags.of([rows[distinct[k]] for k in order]) for rows in (self._grams, self._true)
        )
        return Batch(known[places], rank[places], groups, grams, features, lengths)

    def _groups(self, forms: np.ndarray) -> tuple[tuple[Group, ...], np.ndarray]:
        """The characters of forms in groups, and the order in which the forms come there."""
        spelled = [self._spelled[form] for form in forms]
        sizes = np.array([len(s) for s in spelled], np.int64)
        order = np.argsort(sizes, kind="stable")
        ends = np.searchsorted(sizes[order], _LENGTHS, side="right")
        groups = []
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            if start == end:
                continue
            rows = order[start:end]
            characters = np.zeros((sizes[rows[-1]], len(rows)), np.int64)
            for column, row in enumerate(rows):
                characters[: sizes[row], column] = spelled[row]
            groups.append(Group(characters, sizes[rows]))
        return tuple(groups), order

    def _add(self, word: str) -> None:
        self._known.append(self._words.get(word.lower() if self._lowercase else word, 0))
        self._grams.append(self._subwords.of(word))
        names = features_of(word) if self._features else []
        true = [self._features[name] for name in names if name in self._features]
        self._true.append(np.array(true, np.int64))
        read = word if len(word) <= 2 * HALF else word[:HALF] + word[-HALF:]
        self._spelled.append(np.array([self._characters.get(c, 0) for c in read], np.int64))


def _by_count(counts: Counter[str]) -> list[str]:
    """Most frequent first, of equal ones in the order of their code points."""
    return sorted(counts, key=lambda item: (-counts[item], item))
