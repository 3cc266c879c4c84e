"""Words as tokens and as character n-grams: what a model reads of a text, form by form."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from recurra.errors import FormatError
from recurra.text.tokenizer import Tokenizer

# A word may hold apostrophes and hyphens; any other sign is a word of its own.
_WORD = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")
LEAST, MOST = 3, 5  # characters of an n-gram


class Normaliser:
    """What is done to a text before it is cut into tokens.

    lowercase: `str.lower`. punctuation: signs are parted from words by spaces.
    """

    def __init__(self, *, lowercase: bool = False, punctuation: bool = False) -> None:
        self.lowercase, self.punctuation = lowercase, punctuation

    def __call__(self, text: str) -> str:
        """The text as it is to be cut."""
        text = text.lower() if self.lowercase else text
        return " ".join(_WORD.findall(text)) if self.punctuation else text


class Subwords:
    """Character n-grams of words, of 3 to 5 characters (Bojanowski et al. 2017).

    A word is read between `<` and `>`: "cat" has <ca, cat, at>, <cat, cat>, <cat>. A word that was
    never seen shares n-grams with those that were.

    grams: the n-grams that count, numbered in this order.
    """

    def __init__(self, grams: Sequence[str]) -> None:
        self.grams = tuple(grams)
        self._ids = {gram: index for index, gram in enumerate(self.grams)}

    @classmethod
    def train(cls, words: Iterable[str], *, min_count: int) -> "Subwords":
        """Those of distinct `words` that are in at least `min_count` of them."""
        counts: Counter[str] = Counter()
        for word in words:
            counts.update(set(_grams(word)))
        return cls(sorted(gram for gram, count in counts.items() if count >= min_count))

    def __len__(self) -> int:
        return len(self.grams)

    def of(self, word: str) -> np.ndarray:
        """The numbers of a word's n-grams, (N,) int64, those known."""
        ids = self._ids
        found = [ids[gram] for gram in _grams(word) if gram in ids]
        return np.array(found, np.int64)


class Lexicon:
    """The distinct forms of some texts, numbered as they come: token and n-grams of each.

    A form is a word, with a tokenizer of words, and a token with any other. Nothing is learnt here:
    what a form's token and n-grams are is for the tokenizer and the n-grams given to say.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        subwords: Subwords | None = None,
        *,
        normalise: Callable[[str], str] = str,
    ) -> None:
        self._tokenizer, self._subwords, self._normalise = tokenizer, subwords, normalise
        self._words = tokenizer.kind == "word"
        self._forms: dict[Any, int] = {}
        self.tokens: list[int] = []
        self.grams: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> np.ndarray:
        """The forms of a text, (T,) int64, new ones numbered."""
        text = self._normalise(text)
        tokens = self._tokenizer.encode(text).tolist()
        forms: list[Any] = text.split() if self._words else tokens
        known = self._forms
        found = np.empty(len(forms), np.int64)
        for place, (form, token) in enumerate(zip(forms, tokens, strict=True)):
            index = known.get(form)
            if index is None:
                index = known[form] = len(self.tokens)
                self.tokens.append(token)
                self.grams.append(self._subwords.of(form) if self._subwords else _NONE)
            found[place] = index
        return found

    def rows(self, forms: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokens (U,) of forms (U,), all their n-grams in a row, and how many each has (U,)."""
        chosen = [self.grams[k] for k in forms]
        tokens = np.array([self.tokens[k] for k in forms], np.int64)
        counts = np.array([len(grams) for grams in chosen], np.int64)
        return tokens, np.concatenate([*chosen, _NONE]), counts


def subwords_from_json(value: Any) -> Subwords | None:
    """The n-grams a model directory lists; FormatError where it is no list of texts."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(gram, str) for gram in value):
        raise FormatError(
            "config.json: expected the n-grams of words as a list of texts: restore the file from "
            "a copy"
        )
    return Subwords(value)


_NONE = np.empty(0, np.int64)


def _grams(word: str) -> Iterable[str]:
    bounded = f"<{word}>"
    for size in range(LEAST, MOST + 1):
        for start in range(len(bounded) - size + 1):
            yield bounded[start : start + size]
