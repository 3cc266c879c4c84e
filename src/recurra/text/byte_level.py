"""Bytes, and byte pairs merged (BPE): tokenizers that know every text, and give it back exactly."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Self, cast

import numpy as np

from recurra.checked import checked
from recurra.errors import InputError
from recurra.text.layout import Layout, special_tokens, tokenizer_layout
from recurra.text.recipe import Recipe
from recurra.text.splitter import safe_cut, split
from recurra.text.tokenizer import EOS, StreamDecoder, Tokenizer, utf8

BPE_SIZE = 8192  # tokens of a vocabulary where no size is given
WORDS_KEPT = 1 << 17  # words of one generation whose tokens are remembered, about 25 MB


def _byte_letters() -> str:
    """The letters that stand for the bytes: itself where a byte prints, else one from U+0100."""
    printing = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in printing else next(others)) for byte in range(256))


BYTE_LETTERS = _byte_letters()
_BYTE_OF = {letter: byte for byte, letter in enumerate(BYTE_LETTERS)}


class ByteLevelTokenizer(Tokenizer):
    """What bytes and BPE share: tokens are strings of bytes. `<eos>` is never made from text."""

    def __init__(self, tokens: Sequence[str]) -> None:
        super().__init__(tokens)
        self.unk_id = None  # every text is known, also one that says "<unk>"
        try:
            self._bytes = [
                b"" if token == EOS else bytes(_BYTE_OF[letter] for letter in token)
                for token in self._tokens
            ]
        except KeyError as error:
            raise InputError(f"{self.kind} tokenizer: {error} stands for no byte") from None
        lacking = next((letter for letter in BYTE_LETTERS if letter not in self._ids), None)
        if lacking:
            raise InputError(f"{self.kind} tokenizer: byte {_BYTE_OF[lacking]:#04x} has no token")

    def decode(self, ids: Iterable[int] | np.ndarray) -> str:
        """Bytes that are no UTF-8 are shown as U+FFFD."""
        pieces = map(self._bytes.__getitem__, self._check_ids(ids))
        return b"".join(pieces).decode("utf-8", "replace")

    def decoder(self, *, after: Sequence[int] = ()) -> StreamDecoder:
        """A decoder that holds back the bytes of an unfinished character."""
        return _ByteDecoder(self, after)

    def bytes_of(self, id: int) -> bytes:
        """The bytes of a token; none for `<eos>`."""
        return self._bytes[self._check_id(id)]

    def _layout(self, *, use_regex: bool, merges: Sequence[tuple[str, str]]) -> dict[str, Any]:
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        return tokenizer_layout(
            added_tokens=special_tokens(self.eos_id),
            pre_tokenizer={**level, "use_regex": use_regex},
            decoder={**level, "use_regex": use_regex},
            model={
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": dict(self._ids),
                "merges": [list(pair) for pair in merges],
            },
        )


class ByteTokenizer(ByteLevelTokenizer):
    """One token a byte of UTF-8, numbered as the byte; `<eos>`, where there is one, is 256."""

    kind = "byte"

    def __init__(self, *, eos: bool = False) -> None:
        super().__init__([*BYTE_LETTERS, EOS] if eos else BYTE_LETTERS)

    @classmethod
    def learn(cls, chunks: Iterable[str], recipe: Recipe) -> Self:
        """See `Tokenizer.learn`."""
        tokenizer = cls(eos=recipe.eos)
        if recipe.vocab_size not in (None, len(tokenizer)):
            raise InputError(
                f"vocab_size={recipe.vocab_size}: a byte tokenizer has {len(tokenizer)} tokens; "
                "leave it out"
            )
        return tokenizer

    @classmethod
    def from_layout(cls, layout: Layout) -> Self | None:
        """See `Tokenizer.from_layout`."""
        whole = layout.splitter.get("use_regex") is False
        return cls(eos=len(layout.tokens) > 256) if layout.type == "BPE" and whole else None

    @checked
    def encode(self, text: str) -> np.ndarray:
        """The bytes of the text, (T,) int32. InputError for half of a surrogate pair."""
        return np.frombuffer(utf8(text), np.uint8).astype(np.int32)

    def to_json(self) -> dict[str, Any]:
        """A BPE model without merges, on the whole text as one word."""
        return self._layout(use_regex=False, merges=())


class BPETokenizer(ByteLevelTokenizer):
    """Byte pairs, merged in the order in which training found them (Sennrich et al. 2016).

    tokens: the vocabulary in the order of its numbers. merges: pairs of tokens, strongest first.
    """

    kind = "bpe"

    def __init__(self, tokens: Sequence[str], merges: Iterable[tuple[str, str]]) -> None:
        super().__init__(tokens)
        self.merges = tuple(merges)
        pairs = {}
        for rank, (left, right) in enumerate(self.merges):
            ids = [self._ids.get(token) for token in (left, right, left + right)]
            if None in ids:
                raise InputError(
                    f"bpe tokenizer: merge {left!r} {right!r} is not in the vocabulary"
                )
            pairs[ids[0], ids[1]] = (rank, ids[2])
        letters = [self._ids[letter] for letter in BYTE_LETTERS]
        self._words = _Words(letters, pairs)

    @classmethod
    def learn(cls, chunks: Iterable[str], recipe: Recipe) -> Self:
        """See `Tokenizer.learn`."""
        try:
            import tokenizers
        except ImportError:
            raise InputError(
                "a bpe tokenizer is trained with the package tokenizers, which is not installed: "
                "pip install recurra[tokenizers]"
            ) from None
        size = recipe.vocab_size or BPE_SIZE
        blank = ByteTokenizer(eos=recipe.eos)
        if size < len(blank):
            raise InputError(
                f"vocab_size={size}: a bpe tokenizer needs {len(blank)} tokens before any merge"
            )
        start = cls([blank.token(id) for id in range(len(blank))], ())
        layout = start.to_json()
        layout |= {"added_tokens": [], "model": {"type": "BPE", "vocab": {}, "merges": []}}
        learner = tokenizers.Tokenizer.from_str(json.dumps(layout))
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=recipe.min_count,
            special_tokens=[EOS] * recipe.eos,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        # The learner cuts each item into words by itself.
        whole = (utf8(chunk).decode() for chunk in chunks)
        learner.train_from_iterator(whole if recipe.texts else start.regroup(whole), trainer)
        return cast(Self, cls.from_json(json.loads(learner.to_str())))

    @classmethod
    def from_layout(cls, layout: Layout) -> Self | None:
        """See `Tokenizer.from_layout`."""
        whole = layout.splitter.get("use_regex") is False
        return cls(layout.tokens, layout.merges) if layout.type == "BPE" and not whole else None

    @checked
    def encode(self, text: str) -> np.ndarray:
        """The merged bytes of each word, (T,) int32. InputError for half of a surrogate pair."""
        utf8(text)
        encoded = b"".join(map(self._words.__getitem__, split(text)))
        return np.frombuffer(encoded, np.int32).copy()

    def cut(self, text: str) -> int:
        """The last end of a word that no later text can move."""
        return safe_cut(text)

    def to_json(self) -> dict[str, Any]:
        """A BPE model on the words of `ByteLevel`."""
        return self._layout(use_regex=True, merges=self.merges)


class _Words(dict[str, bytes]):
    """The tokens of the words met lately, as bytes of int32: cheap to keep and to join.

    Two generations are kept, and a word met again moves to the new one: frequent words stay, and
    the rare ones of a long text take no more than so much memory.
    """

    def __init__(self, letters: Sequence[int], pairs: dict[Any, Any]) -> None:
        super().__init__()
        self._letters = letters
        self._pairs = pairs
        self._older: dict[str, bytes] = {}

    def __missing__(self, word: str) -> bytes:
        if len(self) >= WORDS_KEPT:
            self._older = dict(self)
            self.clear()
        merged = self._older.pop(word, None)
        if merged is None:
            ids = [self._letters[byte] for byte in word.encode()]
            merged = np.array(merge(ids, self._pairs), np.int32).tobytes()
        self[word] = merged
        return merged


def merge(ids: list[int], pairs: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Merge neighbours, the strongest pair first and the leftmost of equals, until none is left.

    pairs: (left, right) -> (rank, merged). O(T log T): a heap of candidates over a linked list, in
    which a candidate that has gone stale is recognised by its tokens and passed over.
    """
    ids = list(ids)
    after = [*range(1, len(ids)), -1]
    before = list(range(-1, len(ids) - 1))
    candidates: list[tuple[int, int, int, int]] = []

    def offer(at: int) -> None:
        pair = (ids[at], ids[after[at]])
        if pair in pairs:
            heappush(candidates, (pairs[pair][0], at, *pair))

    for at in range(len(ids) - 1):
        offer(at)
    heapify(candidates)
    while candidates:
        _, at, left, right = heappop(candidates)
        gone = after[at]
        if ids[at] != left or gone < 0 or ids[gone] != right:
            continue
        ids[at] = pairs[left, right][1]
        ids[gone] = -1
        after[at] = after[gone]
        if after[at] >= 0:
            before[after[at]] = at
            offer(at)
        if before[at] >= 0:
            offer(before[at])
    return [token for token in ids if token >= 0]


class _ByteDecoder(StreamDecoder):
    def __init__(self, tokenizer: ByteLevelTokenizer, after: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        for token in after:
            self.push(token)

    def push(self, token: int) -> str:
        return self._utf8.decode(self._tokenizer.bytes_of(token))

    def finish(self) -> str:
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest
