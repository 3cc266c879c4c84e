"""What a linear-chain CRF is told of a word: the field's usual features."""

from collections.abc import Sequence

from recurra.tasks.tagger import word_features


def features(words: Sequence[str]) -> list[list[str]]:
    """Of each word of a sentence the attributes that are true of it.

    Those of the word itself (see `tasks.tagger.word_features`); the words up to two before and
    after it and the shapes of its neighbours; the pairs it forms with them (Ratnaparkhi 1996;
    Lafferty et al. 2001; as in the examples of CRFsuite).
    """
    lowered = [word.lower() for word in words]
    shapes = [word_features.short(word_features.shape(word)) for word in words]
    found = []
    for t, word in enumerate(words):
        row = word_features.features(word)
        for k in (-2, -1, 1, 2):
            place = t + k
            if 0 <= place < len(words):
                row.append(f"w{k}={lowered[place]}")
                if abs(k) == 1:
                    row += [f"s{k}={shapes[place]}", f"e{k}={lowered[place][-3:]}"]
            else:
                row.append(f"edge{k}")
        if t:
            row.append(f"w-1|w={lowered[t - 1]}|{lowered[t]}")
        if t + 1 < len(words):
            row.append(f"w|w1={lowered[t]}|{lowered[t + 1]}")
        found.append(row)
    return found
