"""Make a tokenizer from text: count symbols, or learn merges."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from recurra.checked import checked
from recurra.errors import InputError
from recurra.text.byte_level import BPETokenizer, ByteTokenizer
from recurra.text.char import CharTokenizer, count_characters
from recurra.text.kinds import KINDS
from recurra.text.tokenizer import EOS, UNK, Tokenizer, utf8
from recurra.text.word import WordTokenizer

BPE_SIZE = 8192
_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair: no character, so that it is unknown


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
    if kind == "byte":
        tokenizer = ByteTokenizer(eos=eos)
        if vocab_size not in (None, len(tokenizer)):
            raise InputError(
                f"vocab_size={vocab_size}: a byte tokenizer has {len(tokenizer)} tokens; "
                f"leave it out"
            )
        return tokenizer
    if kind == "bpe":
        size = vocab_size or BPE_SIZE
        return _train_bpe(chunks, texts=texts, vocab_size=size, min_count=min_count, eos=eos)
    specials = [UNK] * unk + [EOS] * eos
    counts = count_characters(chunks) if kind == "char" else _count_words(chunks, texts=texts)
    tokens = specials + _choose(counts, specials, vocab_size=vocab_size, min_count=min_count)
    return CharTokenizer(tokens) if kind == "char" else WordTokenizer(tokens, line_ends=eos)


def _count_words(chunks: Iterable[str], *, texts: bool) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for text in chunks if texts else WordTokenizer([UNK]).regroup(chunks):
        counts.update(text.split())
    return counts


def _choose(
    counts: dict[str, int], specials: list[str], *, vocab_size: int | None, min_count: int
) -> list[str]:
    """The symbols that get a token, the most frequent first."""
    if not counts:
        raise InputError(
            "tokenizer: expected a text to make it from, received one that is empty: give more text"
        )
    for special in specials:
        counts.pop(special, None)
    ranked = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    kept = [s for s in ranked if counts[s] >= min_count and not _HALF.search(s)]
    if vocab_size is not None:
        if vocab_size <= len(specials):
            raise InputError(
                f"vocab_size={vocab_size}: expected more than the {len(specials)} special tokens, "
                f"{' '.join(specials)}"
            )
        kept = kept[: vocab_size - len(specials)]
    if len(kept) < len(ranked) and UNK not in specials:
        raise InputError(
            f"vocab_size and min_count leave {len(ranked) - len(kept)} of {len(ranked)} symbols "
            f"without a token, and unk=False leaves none for them: allow unk, or keep every symbol"
        )
    return kept


def _train_bpe(
    chunks: Iterable[str], *, texts: bool, vocab_size: int, min_count: int, eos: bool
) -> Tokenizer:
    try:
        import tokenizers
    except ImportError:
        raise InputError(
            "a bpe tokenizer is trained with the package tokenizers, which is not installed: "
            "pip install recurra[tokenizers]"
        ) from None
    blank = ByteTokenizer(eos=eos)
    if vocab_size < len(blank):
        raise InputError(
            f"vocab_size={vocab_size}: a bpe tokenizer needs {len(blank)} tokens before any merge"
        )
    start = BPETokenizer([blank.token(id) for id in range(len(blank))], ())
    layout = start.to_json()
    layout |= {"added_tokens": [], "model": {"type": "BPE", "vocab": {}, "merges": []}}
    learner = tokenizers.Tokenizer.from_str(json.dumps(layout))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_count,
        special_tokens=[EOS] * eos,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # The learner cuts each item into words by itself.
    whole = (utf8(chunk).decode() for chunk in chunks)
    learner.train_from_iterator(whole if texts else start.regroup(whole), trainer)
    return Tokenizer.from_json(json.loads(learner.to_str()))
