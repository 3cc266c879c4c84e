"""Small texts, and settings of small models."""

import numpy as np

#: Tiny in every way: a fit takes a second at most.
TINY = {"hidden": 16, "embedding": 8, "dropout": 0.0}
QUICK = {"steps": 6, "batch": 4, "bptt": 16, "lr": 1e-2}

_WORDS = ["the", "a", "cat", "dog", "sees", "likes", "and", "big", "small"]
_WORDS += ["house", "tree", "runs", "to", "from", "of", "we", "they"]


def prose(words: int = 1500, seed: int = 0) -> str:
    """Sentences of a few words, with line breaks: something can be learnt from them."""
    random = np.random.default_rng(seed)
    chosen = [_WORDS[k] for k in random.integers(0, len(_WORDS), words)]
    lines = [" ".join(chosen[k : k + 8]) + ".\n" for k in range(0, words, 8)]
    return "".join(lines)
