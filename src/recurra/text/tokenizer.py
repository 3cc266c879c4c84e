"""What every tokenizer can do: text to token numbers and back, at once or as it arrives."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import plain, shown
from recurra.text.kinds import EOS, KINDS, OF_BYTES, UNK, class_of
from recurra.text.layout import FILE_NAME, Layout
from recurra.text.recipe import Recipe

SHOWN = 5  # symbols an error names before it stops


class StreamDecoder(ABC):
    """Turns tokens into text one at a time: the pieces, joined, are `decode` of all the tokens."""

    @abstractmethod
    def push(self, token: int) -> str:
        """The text that is certain after this token; often "", never half a character."""

    @abstractmethod
    def finish(self) -> str:
        """What was held back; afterwards the decoder stands at the start of a text."""


#: The classes of all kinds.
_CLASSES: list[type[Tokenizer]] = []


class Tokenizer(ABC):
    """A vocabulary of `V = len(tokenizer)` tokens, and how text is cut into them.

    `unk_id` is the token of unknown symbols and `eos_id` the token that ends a sequence; each is
    None where the vocabulary lacks it.
    """

    kind: ClassVar[str]
    unk_id: int | None
    eos_id: int | None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" in vars(cls):
            _CLASSES.append(cls)

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tuple(tokens)
        utf8("".join(self._tokens))
        self._ids = {token: index for index, token in enumerate(self._tokens)}
        if len(self._ids) != len(self._tokens):
            twice = next(t for index, t in enumerate(self._tokens) if self._ids[t] != index)
            raise InputError(
                f"{self.kind} tokenizer: expected each token once in the vocabulary, received "
                f"{twice!r} twice"
            )
        self.unk_id = self._ids.get(UNK)
        self.eos_id = self._ids.get(EOS)

    def __len__(self) -> int:
        return len(self._tokens)

    def __repr__(self) -> str:
        return f"<{self.kind} tokenizer, {len(self):,} tokens>"

    def token(self, id: int) -> str:
        """The token as the vocabulary writes it (byte-level tokens in Hugging Face's letters)."""
        return self._tokens[self._check_id(id)]

    def id(self, token: str) -> int | None:
        """The number of a token, or None where the vocabulary lacks it."""
        return self._ids.get(token)

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """The tokens of `text`, (T,) int32.

        A symbol that is not in the vocabulary becomes `unk_id`; InputError, naming the symbols and
        where they stand, if there is none.
        """

    @abstractmethod
    def decode(self, ids: Iterable[int] | np.ndarray) -> str:
        """The text of tokens. InputError where a number is outside 0 … V-1."""

    @abstractmethod
    def decoder(self, *, after: Sequence[int] = ()) -> StreamDecoder:
        """A decoder that continues the text of the tokens `after`."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """This tokenizer in the layout of a Hugging Face `tokenizer.json`."""

    @classmethod
    def learn(cls, chunks: Iterable[str], recipe: Recipe) -> Self:
        """Make one from a text in chunks, as `train_tokenizer` describes, which calls this.

        Raises:
            InputError: the recipe cannot be followed, or this kind is not made from text.
        """
        raise InputError(
            f"tokenizer: a {cls.__name__} is not made from text: expected one of another kind"
        )

    @staticmethod
    def from_json(layout: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer that `to_json` described. FormatError where it is not one of ours."""
        read = Layout(layout)
        for kind in KINDS:  # its class is imported, and so among those below
            class_of(kind)
        try:
            made = (cls.from_layout(read) for cls in _CLASSES)
            tokenizer = next((one for one in made if one is not None), None)
        except InputError as error:
            raise FormatError(f"{FILE_NAME}: {error}: restore the file from a copy") from None
        if tokenizer is None:
            raise FormatError(
                f"{FILE_NAME}: expected a model of type BPE or WordLevel, received {read.type!r}: "
                "train a tokenizer of ours (train_tokenizer)"
            )
        difference = read.difference(tokenizer.to_json())
        if difference:
            raise FormatError(
                f"{FILE_NAME}: cannot be read as a {tokenizer.kind} tokenizer: {difference}: train "
                "a tokenizer of ours (train_tokenizer)"
            )
        return tokenizer

    @classmethod
    def from_layout(cls, layout: Layout) -> Self | None:
        """The tokenizer that a layout describes; None where it is none of this class, as it is
        for a class without a layout.

        Raises:
            InputError: what it describes cannot be.
        """
        return None

    @property
    def sha256(self) -> str:
        """The hash that tells two tokenizers apart."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def cut(self, text: str) -> int:
        """The end of a prefix of `text` that is encoded the same whatever follows."""
        return len(text)

    def regroup(self, chunks: Iterable[str]) -> Iterator[str]:
        """The same text in pieces that can be encoded one by one."""
        held = ""
        for chunk in chunks:
            held += chunk
            end = self.cut(held)
            if end:
                yield held[:end]
                held = held[end:]
        if held:
            yield held

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[np.ndarray]:
        """The tokens of a text that arrives in chunks: joined, they are `encode` of the whole."""
        return map(self.encode, self.regroup(chunks))

    def unknown(self, text: str) -> list[str]:
        """The distinct symbols of `text` that the vocabulary lacks, in order of appearance."""
        return list(self._find_unknown(text))

    def _find_unknown(self, text: str) -> dict[str, int]:
        """Each unknown symbol and the offset of its first appearance."""
        return {}

    def explain_unknown(self, text: str, *, line: int = 1, column: int = 1) -> str:
        """Which symbols of `text` are unknown, and where; it starts at `line` and `column`."""
        found = self._find_unknown(text)
        places = []
        for symbol, offset in list(found.items())[:SHOWN]:
            at_line = line + text.count("\n", 0, offset)
            start = text.rfind("\n", 0, offset)
            at_column = column + offset if start < 0 else offset - start
            places.append(f"{symbol!r} (line {at_line}, column {at_column})")
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return (
            f"not in the vocabulary of {len(self)} tokens: {', '.join(places)}{more}; "
            f"leave them out, or train a tokenizer with unk=True"
        )

    def _check_id(self, id: int) -> int:
        if not isinstance(id, int | np.integer):
            raise InputError(f"token: expected a whole number, received {shown(id)}")
        if not 0 <= id < len(self._tokens):
            raise InputError(
                f"token {id}: expected 0 to {len(self) - 1}, the numbers of the vocabulary"
            )
        return id

    def _check_ids(self, ids: Iterable[int] | np.ndarray) -> list[int]:
        try:
            row = plain(ids)
            numbers = np.asarray(row if isinstance(row, np.ndarray | Sequence) else list(row))
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                f"tokens: expected one row of whole numbers, received {shown(ids)}"
            ) from None
        if numbers.size == 0:
            return []
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise InputError(
                f"tokens: expected one row of whole numbers, received "
                f"{numbers.dtype} of shape {numbers.shape}"
            )
        self._check_id(int(numbers.min()))
        self._check_id(int(numbers.max()))
        result: list[int] = numbers.tolist()
        return result


def utf8(text: str, *, where: str = "text") -> bytes:
    """The bytes of a text. InputError where it holds half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: offset {error.start} holds half of a surrogate pair "
            f"(U+{ord(text[error.start]):04X}), which is no character; leave it out"
        ) from None


def whole_characters(kind: str, texts: Iterable[str], places: Iterable[str]) -> None:
    """Check that a tokenizer of some kind can read texts.

    Raises:
        InputError: it reads bytes, and a text holds half of a surrogate pair; tokenizers of words
            and characters take that for an unknown one. `places` say where each text stands.
    """
    if kind not in OF_BYTES:
        return
    for text, place in zip(texts, places, strict=True):
        utf8(text, where=place)
