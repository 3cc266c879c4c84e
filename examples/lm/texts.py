"""The two texts of these examples as lines of lower-case words, with the punctuation apart.

Each comes in three parts: one to learn from, one to choose by, one to measure on.
"""

import gzip
import re
from pathlib import Path

WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")

#: Books held out of the King James Bible.
VALID = ("Josh", "Neh", "Zep", "1Cor", "Titus")
TEST = ("Ruth", "Job", "Hos", "Zec", "Gal", "Heb")


def words(line):
    """The line in lower case, a space between words and marks."""
    return " ".join(WORD.findall(line.lower()))


def king_james(data):
    """The verses without their references: training books, `VALID`, `TEST`."""
    parts = {"train": [], "valid": [], "test": []}
    with gzip.open(Path(data) / "kjv" / "kjv.txt.gz", "rt", encoding="utf-8") as file:
        for line in file:
            reference, verse = line.split(" ", 1)
            book = re.sub(r"\d+:\d+$", "", reference)
            part = "test" if book in TEST else "valid" if book in VALID else "train"
            parts[part].append(words(verse) + "\n")
    return tuple("".join(lines) for lines in parts.values())


def wikipedia(data):
    """Articles of the English Wikipedia: 90 % of the words, the next 5 %, the last 5 %."""
    path = Path(data) / "enwiki-slice" / "enwiki-clean.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [line for line in map(words, file) if line]
    sizes = [len(line.split()) + 1 for line in lines]
    parts, read = ([], [], []), 0
    for line, size in zip(lines, sizes, strict=True):
        read += size
        share = read / sum(sizes)
        parts[(share > 0.9) + (share > 0.95)].append(line + "\n")
    return tuple("".join(part) for part in parts)


TEXTS = {"king-james": king_james, "wikipedia": wikipedia}
