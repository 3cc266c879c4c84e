"""The kinds of tokenizers: the one list that settings, readers and `train_tokenizer` look in."""

from typing import NamedTuple

#: The token of unknown symbols, and the one that ends a sequence.
UNK, EOS = "<unk>", "<eos>"


class Kind(NamedTuple):
    """What holds of all tokenizers of a kind.

    of_bytes: tokens are strings of bytes: every text can be read, and one's token can be another's.
    long: a token is a word or a part of one, of a vocabulary of thousands.
    """

    of_bytes: bool
    long: bool


_TABLE = {
    "char": Kind(of_bytes=False, long=False),
    "byte": Kind(of_bytes=True, long=False),
    "word": Kind(of_bytes=False, long=True),
    "bpe": Kind(of_bytes=True, long=True),
}

#: Their names, as `Tokenizer.kind` has them: all, and those of which either holds.
KINDS = tuple(_TABLE)
OF_BYTES = tuple(name for name, kind in _TABLE.items() if kind.of_bytes)
LONG = tuple(name for name, kind in _TABLE.items() if kind.long)
