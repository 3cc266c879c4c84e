"""Characters: one token a Unicode code point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from recurra.checked import checked
from recurra.errors import InputError
from recurra.text.code_points import CODE_POINTS, code_points
from recurra.text.layout import Layout, special_tokens, tokenizer_layout
from recurra.text.recipe import Recipe
from recurra.text.tokenizer import EOS, UNK, StreamDecoder, Tokenizer


class CharTokenizer(Tokenizer):
    """One token a code point. `<eos>` is never made from text: a line end is its own character."""

    kind = "char"

    def __init__(self, tokens: Sequence[str]) -> None:
        super().__init__(tokens)
        wrong = [t for t in self._tokens if len(t) != 1 and t not in (UNK, EOS)]
        if wrong:
            raise InputError(f"char tokenizer: {wrong[0]!r} is not one character: leave it out")
        self._shown = ["" if token == EOS else token for token in self._tokens]
        missing = -1 if self.unk_id is None else self.unk_id
        self._table = np.full(CODE_POINTS, missing, dtype=np.int32)
        for index, token in enumerate(self._tokens):
            if len(token) == 1:
                self._table[ord(token)] = index

    @classmethod
    def learn(cls, chunks: Iterable[str], recipe: Recipe) -> Self:
        """See `Tokenizer.learn`."""
        return cls(recipe.vocabulary(count_characters(chunks)))

    @classmethod
    def from_layout(cls, layout: Layout) -> Self | None:
        """See `Tokenizer.from_layout`."""
        isolated = layout.splitter.get("behavior") == "Isolated"
        return cls(layout.tokens) if layout.type == "WordLevel" and isolated else None

    @checked
    def encode(self, text: str) -> np.ndarray:
        """One token a code point, (T,) int32. InputError for unknown ones without `<unk>`."""
        ids = self._table[code_points(text)]
        if self.unk_id is None and ids.size and ids.min() < 0:
            raise InputError(f"text: {self.explain_unknown(text)}")
        return ids

    def decode(self, ids: Iterable[int] | np.ndarray) -> str:
        """The characters; nothing for `<eos>`."""
        return "".join(map(self._shown.__getitem__, self._check_ids(ids)))

    def decoder(self, *, after: Sequence[int] = ()) -> StreamDecoder:
        """A decoder that writes each character at once."""
        return _CharDecoder(self)

    def _find_unknown(self, text: str) -> dict[str, int]:
        codes = code_points(text)
        missing = -1 if self.unk_id is None else self.unk_id
        offsets = np.flatnonzero(self._table[codes] == missing)
        _, first = np.unique(codes[offsets], return_index=True)
        return {text[at]: at for at in offsets[np.sort(first)].tolist()}

    def to_json(self) -> dict[str, Any]:
        """A WordLevel model whose words are single code points."""
        return tokenizer_layout(
            added_tokens=special_tokens(self.eos_id),
            pre_tokenizer={
                "type": "Split",
                "pattern": {"Regex": r"[\s\S]"},
                "behavior": "Isolated",
                "invert": False,
            },
            decoder={"type": "Fuse"},
            model={"type": "WordLevel", "vocab": dict(self._ids), "unk_token": UNK},
        )


class _CharDecoder(StreamDecoder):
    def __init__(self, tokenizer: CharTokenizer) -> None:
        self._tokenizer = tokenizer

    def push(self, token: int) -> str:
        return self._tokenizer._shown[self._tokenizer._check_id(token)]

    def finish(self) -> str:
        return ""


def count_characters(chunks: Iterable[str]) -> dict[str, int]:
    """How often each code point stands in a text that arrives in chunks."""
    counts = np.zeros(CODE_POINTS, np.int64)
    for chunk in chunks:
        found = np.bincount(code_points(chunk))
        counts[: len(found)] += found
    return {chr(code): int(counts[code]) for code in np.flatnonzero(counts).tolist()}
