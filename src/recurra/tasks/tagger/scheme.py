"""How tags mark entities, found from the tags themselves, and the steps it allows."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from recurra.given import brief
from recurra.tasks.tagger.scores import is_entity_tag


def marks_entities(tags: Iterable[str]) -> bool:
    """Whether tags are those of entities: prefixes with types, and O, but not it alone."""
    distinct = set(tags)
    return bool(distinct - {"O"}) and all(map(is_entity_tag, distinct))


def find_scheme(sentences: Sequence[Sequence[str]]) -> str | None:
    """BIO, IOB1 or IOBES where all sentences keep to it; None where none fits, or no entities."""
    tags = sorted({tag for sentence in sentences for tag in sentence})
    if not marks_entities(tags):
        return None
    number = {tag: k for k, tag in enumerate(tags)}
    for scheme in _candidates(tags):
        allowed = allowed_steps(tags, scheme)
        if all(_keeps([number[tag] for tag in sentence], allowed) for sentence in sentences):
            return scheme
    return None


#: Where the word of some sentence stands: numbers of both, from 0.
Where = Callable[[int, int], str]


def strangers(sentences: Sequence[Sequence[str]], where: Where) -> str | None:
    """Which tags are none of entities, where others are: the first, its place, how many words.

    None where all tags are of entities, or none is.
    """
    distinct = {tag for sentence in sentences for tag in sentence}
    strange = {tag for tag in distinct if not is_entity_tag(tag)}
    if not strange or not (distinct - strange - {"O"}):
        return None
    found = [
        (k, i, tag)
        for k, sentence in enumerate(sentences)
        for i, tag in enumerate(sentence)
        if tag in strange
    ]
    k, i, first = found[0]
    others = f" and {len(strange) - 1} others" if len(strange) > 1 else ""
    return (
        f"{where(k, i)}: the tag {brief(first)}{others} (of {len(found):,} words in all) marks no "
        "entity as the other tags do (O, or B- and I- with a type)"
    )


def breach(sentences: Sequence[Sequence[str]], where: Where) -> str | None:
    """Where the tags of entities keep to no scheme: of the one that fits best the first breach, and
    how many sentences have one. None where a scheme fits, or tags mark no entities."""
    tags = sorted({tag for sentence in sentences for tag in sentence})
    if not marks_entities(tags) or find_scheme(sentences) is not None:
        return None
    number = {tag: k for k, tag in enumerate(tags)}
    edge, best = len(tags), None
    for scheme in _candidates(tags):
        allowed = allowed_steps(tags, scheme)
        bad = []
        for k, sentence in enumerate(sentences):
            steps = [edge, *(number[tag] for tag in sentence), edge + 1]
            wrong = np.flatnonzero(~allowed[steps[:-1], steps[1:]])
            if len(wrong):
                bad.append((k, int(wrong[0])))
        if best is None or len(bad) < len(best[1]):
            best = (scheme, bad)
    assert best is not None
    scheme, bad = best
    k, i = bad[0]
    sentence, i = sentences[k], min(i, len(sentences[k]) - 1)
    before = f"after {brief(sentence[i - 1])}" if i else "at the beginning"
    sentences_told = "1 sentence" if len(bad) == 1 else f"{len(bad):,} sentences"
    return (
        f"{where(k, i)}: the tag {brief(sentence[i])} {before} does not keep to {scheme} "
        f"({sentences_told} in all)"
    )


def _candidates(tags: Sequence[str]) -> tuple[str, ...]:
    return ("IOBES",) if {tag[0] for tag in tags} & {"E", "S"} else ("BIO", "IOB1")


def allowed_steps(tags: Sequence[str], scheme: str | None) -> np.ndarray:
    """Which tag may be followed by which, (K + 2, K + 2) as `crf.CRF` reads it."""
    edge = len(tags)
    found = np.ones((edge + 2, edge + 2), np.bool_)
    found[:, edge] = found[edge + 1, :] = False
    if scheme is None:
        return found
    parts = [("O", "") if tag == "O" else (tag[0], tag[2:]) for tag in tags]
    for i, (before, kind_before) in enumerate([*parts, ("O", ""), ("O", "")]):
        for j, (prefix, kind) in enumerate([*parts, ("O", ""), ("O", "")]):
            same = kind == kind_before
            if scheme == "BIO":
                right = prefix != "I" or (before in "BI" and same)
            elif scheme == "IOB1":
                right = prefix != "B" or (before in "BI" and same)
            else:
                goes_on = before in "BI" and prefix in "IE" and same
                right = goes_on or (before not in "BI" and prefix not in "IE")
            found[i, j] &= right
    return found


def _keeps(tags: Sequence[int], allowed: np.ndarray) -> bool:
    edge = len(allowed) - 2
    steps = [edge, *tags, edge + 1]
    return bool(allowed[steps[:-1], steps[1:]].all())
