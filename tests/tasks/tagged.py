"""Sentences whose tags can be learnt: of a word, of its spelling, and of what stands beside it."""

import numpy as np

#: A network that is trained in seconds.
TINY = {
    "embedding": 12,
    "characters": 8,
    "character_hidden": 8,
    "hidden": 16,
    "layers": 1,
    "dropout": 0.1,
}
QUICK = {"epochs": 6, "lr": 0.02, "batch": 8, "threads": 1, "progress": False}


def grammar(sentences: int, *, seed: int) -> list[tuple[list[str], list[str]]]:
    """Parts of speech: after "to" a word is a verb, after "the" the same word is a noun; names are
    told by their capital, and each is new."""
    rng = np.random.default_rng(seed)
    both = ["walk", "talk", "run", "play", "call", "drink"]
    found = []
    for _ in range(sentences):
        words, tags = [], []
        for _ in range(int(rng.integers(2, 5))):
            word = str(rng.choice(both))
            kind = int(rng.integers(0, 3))
            if kind == 0:
                words += ["to", word]
                tags += ["PART", "VERB"]
            elif kind == 1:
                words += ["the", word]
                tags += ["DET", "NOUN"]
            else:
                letters = rng.choice(list("abcdefghijklmnop"), 6)
                words.append("".join(letters).capitalize())
                tags.append("NAME")
        words.append(".")
        tags.append("PUNCT")
        found.append((words, tags))
    return found


def places(sentences: int, *, seed: int) -> list[tuple[list[str], list[str]]]:
    """Entities: a run of capitalised words is a place after "in", a person after "with"."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(sentences):
        words, tags = ["we", "were"], ["O", "O"]
        for kind, word in (("PLACE", "in"), ("PERSON", "with")):
            if rng.random() < 0.7:
                size = int(rng.integers(1, 4))
                names = [
                    "".join(rng.choice(list("abcdefghij"), 5)).capitalize() for _ in range(size)
                ]
                words += [word, *names]
                tags += ["O", f"B-{kind}", *[f"I-{kind}"] * (size - 1)]
        found.append(([*words, "."], [*tags, "O"]))
    return found


def columns(pairs: list[tuple[list[str], list[str]]]) -> str:
    """As a file of columns."""
    return "\n".join(
        "".join(f"{word}\t{tag}\n" for word, tag in zip(*pair, strict=True)) for pair in pairs
    )
