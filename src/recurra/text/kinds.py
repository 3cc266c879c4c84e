"""The kinds of tokenizers: the one list that settings, readers and `train_tokenizer` look in."""

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from recurra.text.tokenizer import Tokenizer

#: The token of unknown symbols, and the one that ends a sequence.
UNK, EOS = "<unk>", "<eos>"


class Kind(NamedTuple):
    """What holds of all tokenizers of a kind.

    cls: its class, "module:Class", the module in `recurra.text`.
    of_bytes: tokens are strings of bytes: every text can be read, and one's token can be another's.
    long: a token is a word or a part of one, of a vocabulary of thousands.
    """

    cls: str
    of_bytes: bool
    long: bool


_TABLE = {
    "char": Kind("char:CharTokenizer", of_bytes=False, long=False),
    "byte": Kind("byte_level:ByteTokenizer", of_bytes=True, long=False),
    "word": Kind("word:WordTokenizer", of_bytes=False, long=True),
    "bpe": Kind("byte_level:BPETokenizer", of_bytes=True, long=True),
}

#: Their names, as `Tokenizer.kind` has them: all, and those of which either holds.
KINDS = tuple(_TABLE)
OF_BYTES = tuple(name for name, kind in _TABLE.items() if kind.of_bytes)
LONG = tuple(name for name, kind in _TABLE.items() if kind.long)


def class_of(kind: str) -> "type[Tokenizer]":
    """Import the class of a kind, one of `KINDS`."""
    module, _, name = _TABLE[kind].cls.partition(":")
    found: type[Tokenizer] = getattr(import_module(f"recurra.text.{module}"), name)
    return found
