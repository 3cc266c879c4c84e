"""Sentences of standard input, each as soon as it is whole."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from recurra.data.arriving import STANDARD_INPUT, arriving_lines
from recurra.errors import InputError
from recurra.tasks.tagger.conll import SentenceReader, TaggedText, decoded
from recurra.tasks.tagger.settings import TaggerColumns


def arriving_texts(columns: TaggerColumns) -> Iterator[TaggedText]:
    """The text of standard input in pieces, each up to an end of a sentence as soon as that has
    come: an empty line, or of a format whose sentences are lines any line. The last piece is the
    rest, and may have none.

    Raises:
        InputError: what `read_tagged` raises, in the piece where it is.
    """
    read: dict[str, Any] = columns.reading()
    reader = SentenceReader(STANDARD_INPUT, read.pop("format") or "columns", tags=False, **read)
    held: list[bytes] = []
    before, sentences, skipped = 0, 0, list[str]()
    for group in chain(arriving_lines(), [None]):
        held += group or []
        size = len(held) if group is None else _whole(held, reader)
        if not size:
            continue
        rows, held = held[:size], held[size:]
        for number, row in enumerate(rows, before + 1):
            if b"\0" in row:
                raise InputError(
                    f"{STANDARD_INPUT}:{number}: expected text in UTF-8, received a zero byte: "
                    "convert it, as with iconv -f UTF-16 -t UTF-8"
                )
        text = reader.read(*decoded(rows, before), before)
        before += size
        sentences += len(text.sentences)
        skipped += text.skipped
        yield text
    if not sentences:
        raise reader.nothing(skipped)


def _whole(rows: list[bytes], reader: SentenceReader) -> int:
    """How many of the lines make whole sentences, at least one."""
    if reader.by_line:
        return len(rows)
    words, size = False, 0
    for k, row in enumerate(rows, 1):
        if row.strip(b" \t\r"):
            words = True
        elif words:
            size = k
    return size
