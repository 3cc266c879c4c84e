"""Features of a word that people thought of: what a linear model is told of how it is written."""

import re

_AFFIX = 4


def features(word: str) -> list[str]:
    """What is true of a word, whatever stands beside it.

    The word in lower case, its shape and its shape in short, its prefixes and suffixes of up to
    four letters, whether it has digits, a hyphen or capitals (Ratnaparkhi 1996; as in the examples
    of CRFsuite). The first, "bias", is true of every word.
    """
    low, form = word.lower(), shape(word)
    found = ["bias", f"w={low}", f"s={form}", f"S={short(form)}"]
    for size in range(1, min(_AFFIX, len(low)) + 1):
        found.append(f"p{size}={low[:size]}")
        found.append(f"e{size}={low[-size:]}")
    if any(c.isdigit() for c in word):
        found.append("digit")
    if "-" in word:
        found.append("hyphen")
    if word.isupper():
        found.append("upper")
    elif word[:1].isupper():
        found.append("title")
    elif any(c.isupper() for c in word):
        found.append("inner upper")
    return found


def shape(word: str) -> str:
    """Its letters as X and x, its digits as d, all else as it is; of long words the beginning."""
    return "".join(
        "d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in word[:16]
    )


def short(shape: str) -> str:
    """A shape with runs of the same made one."""
    return re.sub(r"(.)\1+", r"\1", shape)
