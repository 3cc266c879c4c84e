"""What a linear-chain CRF is told of a word: the field's usual features."""

import re
from collections.abc import Sequence

_AFFIX = 4


def features(words: Sequence[str]) -> list[list[str]]:
    """Of each word of a sentence the attributes that are true of it.

    The word, its shape, its prefixes and suffixes of up to four letters, whether it has digits, a
    hyphen or capitals; the words up to two before and after it and the shapes of its neighbours;
    the pairs it forms with them (Ratnaparkhi 1996; Lafferty et al. 2001; as in the examples of
    CRFsuite).
    """
    lowered = [word.lower() for word in words]
    shapes = [shape(word) for word in words]
    found = []
    for t, word in enumerate(words):
        low = lowered[t]
        row = ["bias", f"w={low}", f"s={shapes[t]}", f"S={_short(shapes[t])}"]
        for size in range(1, min(_AFFIX, len(low)) + 1):
            row.append(f"p{size}={low[:size]}")
            row.append(f"e{size}={low[-size:]}")
        if any(c.isdigit() for c in word):
            row.append("digit")
        if "-" in word:
            row.append("hyphen")
        if word.isupper():
            row.append("upper")
        elif word[:1].isupper():
            row.append("title")
        elif any(c.isupper() for c in word):
            row.append("inner upper")
        for k in (-2, -1, 1, 2):
            place = t + k
            if 0 <= place < len(words):
                row.append(f"w{k}={lowered[place]}")
                if abs(k) == 1:
                    row += [f"s{k}={_short(shapes[place])}", f"e{k}={lowered[place][-3:]}"]
            else:
                row.append(f"edge{k}")
        if t:
            row.append(f"w-1|w={lowered[t - 1]}|{low}")
        if t + 1 < len(words):
            row.append(f"w|w1={low}|{lowered[t + 1]}")
        found.append(row)
    return found


def shape(word: str) -> str:
    """Its letters as X and x, its digits as d, all else as it is; of long words the beginning."""
    return "".join(
        "d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in word[:16]
    )


def _short(shape: str) -> str:
    """A shape with runs of the same made one."""
    return re.sub(r"(.)\1+", r"\1", shape)
