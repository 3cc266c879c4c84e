"""Text as an array of code points, for what is too slow character by character."""

from __future__ import annotations

import numpy as np

CODE_POINTS = 0x110000
_LAST_SPACE = 0x3000
_SPACE = np.array([chr(code).isspace() for code in range(_LAST_SPACE + 2)])


def code_points(text: str) -> np.ndarray:
    """The text as (T,) code points, uint8 or uint32; a lone surrogate counts as one."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def count_words(text: str) -> int:
    """`len(text.split())` of a text of at least one character, four times as fast."""
    codes = code_points(text)
    space = _SPACE[codes if codes.itemsize == 1 else np.minimum(codes, _LAST_SPACE + 1)]
    return int(np.count_nonzero(space[:-1] > space[1:])) + (not space[0])
