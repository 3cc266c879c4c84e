"""Words: what stands between white space, as in the corpora language models are compared on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from recurra.checked import checked
from recurra.errors import InputError
from recurra.text.layout import Layout, tokenizer_layout
from recurra.text.recipe import Recipe
from recurra.text.tokenizer import EOS, UNK, StreamDecoder, Tokenizer

LINE_END = {"type": "Replace", "pattern": {"String": "\n"}, "content": f" {EOS} "}
# str.split() also cuts at the four ASCII separators, which are no white space to Unicode's \s
SPACE = {
    "type": "Split",
    "pattern": {"Regex": r"[\s\x1c-\x1f]+"},
    "behavior": "Removed",
    "invert": False,
}
# words joined by spaces (no word starts with the prefix), then each <eos> and the spaces beside it
# made one line end
JOIN = {
    "type": "Sequence",
    "decoders": [
        {"type": "WordPiece", "prefix": "\n", "cleanup": False},
        {"type": "Fuse"},
        {"type": "Replace", "pattern": {"Regex": rf" ?(?<!\S){EOS}(?!\S) ?"}, "content": "\n"},
    ],
}


class WordTokenizer(Tokenizer):
    """One token a word. A `<unk>` written in the text is the unknown token.

    line_ends: each line end is a token, `<eos>`; otherwise it only parts words. White space is not
    kept: decoding writes one space between words, and a line end for `<eos>`.
    """

    kind = "word"

    def __init__(self, tokens: Sequence[str], *, line_ends: bool = False) -> None:
        super().__init__(tokens)
        wrong = [token for token in self._tokens if token.split() != [token]]
        if wrong:
            raise InputError(f"word tokenizer: {wrong[0]!r} is not one word: leave it out")
        if line_ends and self.eos_id is None:
            raise InputError(
                f"word tokenizer: lines=True: expected {EOS} in the vocabulary, received none: "
                "train it with eos=True"
            )
        self.line_ends = line_ends
        self._lookup = _Lookup(self._ids, missing=self.unk_id)

    @classmethod
    def learn(cls, chunks: Iterable[str], recipe: Recipe) -> Self:
        """See `Tokenizer.learn`."""
        counts: Counter[str] = Counter()
        for text in chunks if recipe.texts else cls([UNK]).regroup(chunks):
            counts.update(text.split())
        return cls(recipe.vocabulary(counts), line_ends=recipe.eos)

    @classmethod
    def from_layout(cls, layout: Layout) -> Self | None:
        """See `Tokenizer.from_layout`."""
        isolated = layout.splitter.get("behavior") == "Isolated"
        if layout.type != "WordLevel" or isolated:
            return None
        return cls(layout.tokens, line_ends=layout.normalized)

    @checked
    def encode(self, text: str) -> np.ndarray:
        """One token a word, (T,) int32. InputError for unknown ones without `<unk>`."""
        words = self._words(text)
        try:
            return np.fromiter(map(self._lookup.__getitem__, words), np.int32, len(words))
        except KeyError:
            raise InputError(f"text: {self.explain_unknown(text)}") from None

    def decode(self, ids: Iterable[int] | np.ndarray) -> str:
        """The words with a space between, and a line end for `<eos>`."""
        decoder = self.decoder()
        return "".join(map(decoder.push, self._check_ids(ids)))

    def decoder(self, *, after: Sequence[int] = ()) -> StreamDecoder:
        """A decoder that writes a space before a word, but for the first of a line."""
        return _WordDecoder(self, after)

    def cut(self, text: str) -> int:
        """The end of the last word that is complete."""
        if not text or text[-1].isspace():
            return len(text)
        return len(text) - len(text.rsplit(None, 1)[-1])

    def _words(self, text: str) -> list[str]:
        return (text.replace("\n", f" {EOS} ") if self.line_ends else text).split()

    def _find_unknown(self, text: str) -> dict[str, int]:
        found: dict[str, int] = {}
        end = 0
        for word in text.split():
            start = text.index(word, end)
            end = start + len(word)
            if word not in self._ids:
                found.setdefault(word, start)
        return found

    def to_json(self) -> dict[str, Any]:
        """A WordLevel model on the words between white space."""
        return tokenizer_layout(
            normalizer=LINE_END if self.line_ends else None,
            pre_tokenizer=SPACE,
            decoder=JOIN,
            model={"type": "WordLevel", "vocab": dict(self._ids), "unk_token": UNK},
        )


class _Lookup(dict[str, int]):
    """Words to numbers; what is missing is the unknown token, and is not remembered."""

    def __init__(self, ids: dict[str, int], *, missing: int | None) -> None:
        super().__init__(ids)
        self._missing = missing

    def __missing__(self, word: str) -> int:
        if self._missing is None:
            raise KeyError(word)
        return self._missing


class _WordDecoder(StreamDecoder):
    def __init__(self, tokenizer: WordTokenizer, after: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._fresh = len(after) == 0 or int(after[-1]) == tokenizer.eos_id

    def push(self, token: int) -> str:
        word = self._tokenizer.token(token)
        fresh, self._fresh = self._fresh, token == self._tokenizer.eos_id
        if self._fresh:
            return "\n"
        return word if fresh else f" {word}"

    def finish(self) -> str:
        self._fresh = True
        return ""
