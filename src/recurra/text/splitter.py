"""Where byte-level BPE may not merge across: GPT-2's cut of a text into words.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners": English contractions,
runs of letters, of numbers and of other symbols, each with at most one space before it, and runs of
white space. The cut is Hugging Face's `ByteLevel` to the character; see `unicode_classes`.
"""

from __future__ import annotations

import re
from functools import cache

from recurra.text.unicode_classes import LETTERS, NUMBERS, SPACES

_SPACES = frozenset(
    chr(code)
    for first, _, last in (item.partition("-") for item in SPACES.split())
    for code in range(int(first, 16), int(last or first, 16) + 1)
)
LOOK = 2  # characters past its end decide where a word ends: an apostrophe waits for "ll"
FULL_SEARCH = 1 << 16


def split(text: str) -> list[str]:
    """The words of `text`, white space included: joined, they are the text."""
    return _pattern(text.isascii()).findall(text)


def safe_cut(text: str) -> int:
    """The end of a prefix whose words are the same whatever follows; 0 where none is found.

    Usually the last place where white space follows something else. In a long text without one (a
    script that uses no spaces) the words themselves are searched.
    """
    end = max(text.rfind(" "), text.rfind("\n"))
    while end > 0 and text[end - 1] in _SPACES:
        end -= 1
    if end > 0 or len(text) < FULL_SEARCH:
        return max(end, 0)
    ends = (match.end() for match in _pattern(text.isascii()).finditer(text))
    sure = (end for end in ends if end <= len(text) - LOOK and text[end - 1] not in _SPACES)
    return max(sure, default=0)


@cache
def _pattern(ascii_only: bool) -> re.Pattern[str]:
    # compiling the classes of all Unicode takes tens of milliseconds, and many texts need none
    letter, number, space = (_ranges(table, ascii_only) for table in (LETTERS, NUMBERS, SPACES))
    return re.compile(
        rf"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+| ?[^{space}{letter}{number}]+"
        rf"|[{space}]+(?![^{space}])|[{space}]+"
    )


def _ranges(table: str, ascii_only: bool) -> str:
    """A table of code points as the inside of a regular expression's character class."""
    parts = []
    for item in table.split():
        first, _, last = item.partition("-")
        if not ascii_only or int(first, 16) < 128:
            parts.append(rf"\U{int(first, 16):08x}-\U{int(last or first, 16):08x}")
    return "".join(parts)
