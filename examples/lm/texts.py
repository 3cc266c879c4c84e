"""The two texts of these examples as lines of lower-case words, with the punctuation apart.

Each comes in three parts: one to learn from, one to choose by, one to measure on. As files:

    python examples/lm/texts.py king-james shared/data texts/
"""

import argparse
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


def write(text, data, folder, share=1.0):
    """Write the parts of a text, or the beginning of each; returns the three paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{part}.txt" for part in ("train", "valid", "test"))
    for path, part in zip(paths, TEXTS[text](data), strict=True):
        path.write_text(part[: round(len(part) * share)], encoding="utf-8")
    return paths


def main(argv=None):
    """Write train.txt, valid.txt and test.txt, for the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", choices=sorted(TEXTS))
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument("folder", type=Path, help="to write to")
    options = parser.parse_args(argv)
    return write(options.text, options.data, options.folder)


if __name__ == "__main__":
    main()
