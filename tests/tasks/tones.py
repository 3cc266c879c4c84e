"""A language of three tones, that a small network learns in seconds."""

import numpy as np

from recurra.tasks.transcriber.recordings import Recording
from recurra.tasks.transcriber.wav import Sound

RATE = 8000
PITCHES = {"do": 500, "mi": 1200, "so": 2500}
TINY = {"layers": 1, "hidden": 12, "mels": 16, "stack": 4, "stride": 4, "tokenizer": "word"}
QUICK = {"epochs": 14, "batch": 8, "lr": 0.03, "threads": 1}


def say(words, random, rate=RATE):
    """Samples of words with pauses between, and a little noise."""
    parts = []
    for word in words:
        size = int(random.uniform(0.10, 0.16) * rate)
        parts.append(0.3 * np.sin(2 * np.pi * PITCHES[word] * np.arange(size) / rate))
        parts.append(np.zeros(int(random.uniform(0.05, 0.08) * rate)))
    sound = np.concatenate([np.zeros(rate // 20), *parts])
    return (sound + 0.005 * random.standard_normal(len(sound))).astype(np.float32)


def recordings(count, seed=0, rate=RATE, most=4):
    """Recordings of 1 to `most` words."""
    random, found = np.random.default_rng(seed), []
    for n in range(count):
        words = random.choice(list(PITCHES), random.integers(1, most + 1)).tolist()
        found.append(Recording(Sound(say(words, random, rate), rate), " ".join(words), f"tone {n}"))
    return found
