"""How tags mark entities, found from the tags themselves, and the steps it allows."""

from collections.abc import Iterable, Sequence

import numpy as np

from recurra.metrics.tagging import is_entity_tag


def marks_entities(tags: Iterable[str]) -> bool:
    """Whether tags are those of entities: prefixes with types, and O, but not it alone."""
    distinct = set(tags)
    return bool(distinct - {"O"}) and all(map(is_entity_tag, distinct))


def find_scheme(sentences: Sequence[Sequence[str]]) -> str | None:
    """BIO, IOB1 or IOBES where all sentences keep to it; None where none fits, or no entities."""
    tags = sorted({tag for sentence in sentences for tag in sentence})
    if not marks_entities(tags):
        return None
    prefixes = {tag[0] for tag in tags}
    number = {tag: k for k, tag in enumerate(tags)}
    for scheme in ("IOBES",) if prefixes & {"E", "S"} else ("BIO", "IOB1"):
        allowed = allowed_steps(tags, scheme)
        if all(_keeps([number[tag] for tag in sentence], allowed) for sentence in sentences):
            return scheme
    return None


def allowed_steps(tags: Sequence[str], scheme: str | None) -> np.ndarray:
    """Which tag may be followed by which, (K + 2, K + 2) as `recurra.nn.crf.CRF` reads it."""
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
