"""Small labelled data whose rule is known."""

import gzip
from pathlib import Path

import numpy as np

SMALL = {"hidden": 16, "embedding": 16}
QUICK = {"epochs": 4, "batch": 16, "progress": False}

_FILLERS = ["the", "a", "our", "today", "again", "often", "here"]
_PLAYERS = ["anna", "ben", "carla", "dan"]
_THINGS = ["piano", "football", "violin", "tennis"]


def reviews(count: int, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts whose label is told by single words: what a bag of words can learn."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        label = "good" if random.random() < 0.5 else "bad"
        word = {"good": ["fine", "lovely"], "bad": ["dull", "awful"]}[label][random.integers(2)]
        words = [*random.choice(_FILLERS, random.integers(1, 7)), word]
        texts.append(" ".join(random.permutation(words)))
        labels.append(label)
    return texts, labels


def ordered(count: int, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Pairs of texts of the same words, and of other labels: who plays what comes first.

    "anna plays the piano , ben watches football" is music; with piano and football exchanged it is
    sport. Each of the words, and each number of them, is as frequent under either label.
    """
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count // 2):
        who, other = random.choice(_PLAYERS, 2, replace=False)
        music, sport = random.choice(["piano", "violin"]), random.choice(["football", "tennis"])
        extra = list(random.choice(_FILLERS, random.integers(0, 4)))
        for first, second, label in ((music, sport, "music"), (sport, music, "sport")):
            words = [*extra, who, "plays", "the", first, ",", other, "watches", "some", second]
            texts.append(" ".join(words))
            labels.append(label)
    return texts, labels


def slopes(count: int, *, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Ragged sequences of two features that rise or fall; which values occur tells nothing."""
    random = np.random.default_rng(seed)
    arrays, labels = [], []
    for _ in range(count):
        steps = random.integers(4, 12)
        values = np.sort(random.normal(size=steps))
        label = "rises" if random.random() < 0.5 else "falls"
        values = values if label == "rises" else values[::-1]
        noise = random.normal(size=steps)
        arrays.append(np.stack([noise, 50 + 10 * values], 1).astype(np.float32))
        labels.append(label)
    return arrays, labels


def digits(data_dir: Path) -> tuple[list[np.ndarray], list[str]]:
    """Images of handwritten digits as 8 rows of 8 pixels, top row first."""
    with gzip.open(data_dir / "optdigits-8x8" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    images = table[:, :-1].reshape(-1, 8, 8)
    return list(images), [str(int(label)) for label in table[:, -1]]


def split(
    inputs: list, labels: list[str], count: int, *, seed: int
) -> tuple[tuple[list, list[str]], tuple[list, list[str]]]:
    """Part with the first `count` of a random order: the rest, and those."""
    order = np.random.default_rng(seed).permutation(len(inputs))
    parts = order[count:], order[:count]
    rest, held = (([inputs[k] for k in part], [labels[k] for k in part]) for part in parts)
    return rest, held
