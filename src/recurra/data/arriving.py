"""Lines as they come through a pipe."""

import codecs
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recurra.data.cells import as_utf8

#: What errors call it.
STANDARD_INPUT = "standard input"
_BLOCK = 1 << 16


def arriving_lines() -> Iterator[list[bytes]]:
    """The lines of standard input in UTF-8, without their line ends, in groups: those that are
    there, as soon as there is one, so that each can be answered before the next is written."""
    stream: Any = sys.stdin.buffer
    held, first = b"", True
    while chunk := stream.read1(_BLOCK):
        if first:
            while len(chunk) < len(codecs.BOM_UTF8) and b"\n" not in chunk:
                more = stream.read1(_BLOCK)
                chunk += more
                if not more:
                    break
            if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                chunk = as_utf8(chunk + stream.read(), Path(STANDARD_INPUT))
            chunk, first = chunk.removeprefix(codecs.BOM_UTF8), False
        *lines, held = (held + chunk).split(b"\n")
        if lines:
            yield [line.removesuffix(b"\r") for line in lines]
    if held:
        yield [held.removesuffix(b"\r")]
