"""Make a tokenizer from text, of any kind."""

from __future__ import annotations

from collections.abc import Iterable

from recurra.checked import checked
from recurra.errors import InputError
from recurra.text.kinds import KINDS, class_of
from recurra.text.recipe import Recipe
from recurra.text.tokenizer import Tokenizer


@checked
def train_tokenizer(
    kind: str,
    chunks: Iterable[str],
    *,
    texts: bool = False,
    vocab_size: int | None = None,
    min_count: int = 1,
    unk: bool = True,
    eos: bool = False,
) -> Tokenizer:
    """A tokenizer for a text that arrives in chunks, or for many texts.

    kind: one of `recurra.text.KINDS`.
    texts: each chunk is a text by itself, and no word reaches from one into the next; otherwise
    they are one text, cut anywhere.
    vocab_size: at most so many tokens, special ones included (bpe: 8192 where None).
    min_count: symbols (bpe: pairs) seen less often get no token.
    unk: have a token `<unk>` for symbols without one; byte and bpe know every text and need none.
    eos: have a token `<eos>`; word tokenizers then write it for each line end.
    The most frequent symbols come first, equals in the order of their code points.
    Raises InputError where the arguments contradict each other or the text is empty.
    """
    if kind not in KINDS:
        raise InputError(f"tokenizer: expected one of {', '.join(KINDS)}, received {kind!r}")
    if min_count < 1:
        raise InputError(f"min_count={min_count}: expected at least 1")
    if vocab_size is not None and vocab_size < 1:
        raise InputError(f"vocab_size={vocab_size}: expected at least 1")
    return class_of(kind).learn(chunks, Recipe(texts, vocab_size, min_count, unk, eos))
