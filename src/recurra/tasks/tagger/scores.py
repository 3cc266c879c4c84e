"""How well sentences are tagged: accuracy, and precision, recall and F1 of the entities found.

Counted as seqeval counts (Nakayama 2018), whose default is what conlleval does (Tjong Kim Sang &
Buchholz 2000).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.checked import checked
from recurra.errors import InputError
from recurra.given import LeftOut
from recurra.tasks.answers import Figures
from recurra.tasks.figures import mean, plain
from recurra.tasks.tagger.data import Sentences
from recurra.tasks.tagger.scheme import SCHEMES, marks_entities, strangers

_PREFIXES = {"BIO": "BIO", "IOB1": "BIO", "IOBES": "BIOES", None: "BIOES"}

Tags = Sequence[Sequence[str]]
Entity = tuple[str, int, int]
"""Type, first word, last word."""


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1; `support` is the number of entities there are.

    What would be divided by nothing is 0, as seqeval has it.
    """

    precision: float
    recall: float
    f1: float
    support: int

    @classmethod
    def of(cls, right: int, found: int, wanted: int) -> "Score":
        """The score where of `wanted` entities and `found` ones so many are the same."""
        precision = right / found if found else 0.0
        recall = right / wanted if wanted else 0.0
        both = precision + recall
        return cls(precision, recall, 2 * precision * recall / both if both else 0.0, wanted)


@dataclass(frozen=True)
class EntityScores:
    """Scores of all entities together (micro average), and of each type.

    Without types there is no entity, neither given nor found: nothing was measured, and the figures
    are not told.
    """

    overall: Score
    types: dict[str, Score]

    @property
    def macro_f1(self) -> float:
        """The mean of the types' F1; NaN without any."""
        return mean(sum(s.f1 for s in self.types.values()), len(self.types))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        overall = vars(self.overall)
        if not self.types:
            overall = {**dict.fromkeys(overall), "support": 0}
        return {
            **overall,
            "macro_f1": plain(self.macro_f1),
            "types": {name: dict(vars(score)) for name, score in self.types.items()},
        }


@checked
def tag_accuracy(wanted: Tags, found: Tags) -> float:
    """The share of words whose tag is right.

    Raises:
        InputError: there are no words, or not a tag for each.
    """
    _check(wanted, found)
    right = sum(
        a == b
        for row, other in zip(wanted, found, strict=True)
        for a, b in zip(row, other, strict=True)
    )
    return right / sum(map(len, wanted))


@checked
def entity_scores(wanted: Tags, found: Tags, *, scheme: str | None = None) -> EntityScores:
    """Compare entities: one is right where its type and both its ends are.

    Args:
        wanted: the tags of each sentence.
        found: those a model gave.
        scheme: one of `SCHEMES`: what it does not allow is no entity. By default what begins, goes
            on and ends is read generously, as conlleval reads it: an I- after O begins an entity.

    Raises:
        InputError: not a tag for each word, or tags that the scheme does not know.
    """
    _check(wanted, found)
    right: Counter[str] = Counter()
    all_wanted: Counter[str] = Counter()
    all_found: Counter[str] = Counter()
    for row, other in zip(wanted, found, strict=True):
        there, got = set(entities(row, scheme=scheme)), set(entities(other, scheme=scheme))
        right.update(kind for kind, *_ in there & got)
        all_wanted.update(kind for kind, *_ in there)
        all_found.update(kind for kind, *_ in got)
    kinds = sorted(all_wanted | all_found)
    return EntityScores(
        Score.of(right.total(), all_found.total(), all_wanted.total()),
        {kind: Score.of(right[kind], all_found[kind], all_wanted[kind]) for kind in kinds},
    )


@checked
def entities(tags: Sequence[str], *, scheme: str | None = None) -> list[Entity]:
    """The entities of one sentence, in their order; `scheme` as for `entity_scores`."""
    if scheme is not None and scheme not in SCHEMES:
        raise InputError(f"scheme: expected one of {', '.join(SCHEMES)}, received {scheme!r}")
    parts = [_part(tag, scheme) for tag in tags]
    return _generous(parts) if scheme is None else _strict(parts, scheme)


_Part = tuple[str, str]  # prefix, type


def _part(tag: str, scheme: str | None) -> _Part:
    if not tag or tag[0] not in _PREFIXES[scheme]:
        name = "BIO or IOBES" if scheme is None else scheme
        raise InputError(f"expected a tag of entities ({name}), received {tag!r}")
    return tag[0], tag[1:].split("-", 1)[-1] or "_"


def _generous(parts: list[_Part]) -> list[Entity]:
    found, first = [], 0
    before, kind_before = "O", "_"
    for k, (prefix, kind) in enumerate([*parts, ("O", "_")]):
        changed = kind != kind_before
        if before != "O" and (before in "ES" or prefix in "BSO" or changed):
            found.append((kind_before, first, k - 1))
        if prefix != "O" and (prefix in "BS" or before in "ESO" or changed):
            first = k
        before, kind_before = prefix, kind
    return found


def _strict(parts: list[_Part], scheme: str) -> list[Entity]:
    begins = _BEGINS[scheme]
    found, k, before = [], 0, ("O", "_")
    while k < len(parts):
        if not begins(before, parts[k]):
            before, k = parts[k], k + 1
            continue
        first, kind = k, parts[k][1]
        k += 1
        while k < len(parts) and _goes_on(parts[k - 1], parts[k]):
            k += 1
        after = parts[k] if k < len(parts) else ("O", "_")
        if _ends(scheme, parts[k - 1], after):
            found.append((kind, first, k - 1))
        before = parts[k - 1]
    return found


def _iob1_begins(before: _Part, part: _Part) -> bool:
    same = before[1] == part[1]
    if part[0] == "B":
        return before[0] in "IB" and same
    return part[0] == "I" and (before[0] in "OB" or not same)


_BEGINS: dict[str, Callable[[_Part, _Part], bool]] = {
    "BIO": lambda before, part: part[0] == "B",
    "IOBES": lambda before, part: part[0] in "BS",
    "IOB1": _iob1_begins,
}


def _goes_on(before: _Part, part: _Part) -> bool:
    return before[0] in "BI" and part[0] in "IE" and before[1] == part[1]


def _ends(scheme: str, last: _Part, after: _Part) -> bool:
    if scheme == "IOBES":
        return last[0] in "ES"
    # In IOB1 a B- that no entity of its type precedes is no entity, nor lets the one before it be.
    return scheme == "BIO" or not (last[0] == "B" and after[0] == "B" and last[1] != after[1])


def _check(wanted: Tags, found: Tags) -> None:
    if len(wanted) != len(found):
        raise InputError(f"expected tags of {len(wanted)} sentences, received {len(found)}")
    for k, (row, other) in enumerate(zip(wanted, found, strict=True)):
        if len(row) != len(other):
            raise InputError(
                f"sentence {k + 1}: expected a tag for each of {len(row)} words, "
                f"received {len(other)}"
            )
    if not any(map(len, wanted)):
        raise InputError("wanted: expected sentences with words, received none")


@dataclass(frozen=True)
class TaggerScores(Figures):
    """How well sentences are tagged.

    accuracy: of all words; unknown_accuracy: of those that training did not have, None where there
    are none. entities: scores of entities, where the tags mark them. skipped: sentences left out.
    notes: why entities are not scored, where most tags mark them.
    """

    accuracy: float
    unknown_accuracy: float | None
    entities: EntityScores | None
    sentences: int
    words: int
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def measure(
        cls,
        sentences: Sentences,
        found: Sequence[Sequence[str]],
        *,
        unknown: Sequence[Sequence[bool]],
    ) -> "TaggerScores":
        """Compare tags with those of a model, both as texts; `unknown` says which words were new
        to it."""
        wanted = sentences.tags
        strange = strangers(wanted, sentences.where)
        new = [
            a == b
            for row, other, flags in zip(wanted, found, unknown, strict=True)
            for a, b, flag in zip(row, other, flags, strict=True)
            if flag
        ]
        every = {tag for rows in (wanted, found) for row in rows for tag in row}
        return cls(
            tag_accuracy(wanted, found),
            sum(new) / len(new) if new else None,
            entity_scores(wanted, found) if marks_entities(every) else None,
            len(wanted),
            sum(map(len, wanted)),
            sentences.skipped,
            () if strange is None else (f"{strange}: entities are not scored",),
        )

    @property
    def left_out(self) -> LeftOut:
        """How many sentences could not be read, and the first of them."""
        return LeftOut.of(self.skipped, kept=self.sentences, unit="sentences")

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        told = {
            "accuracy": self.accuracy,
            "unknown_accuracy": self.unknown_accuracy,
            "sentences": self.sentences,
            "words": self.words,
            "skipped": list(self.skipped),
            "left_out": self.left_out.to_dict(),
            "notes": list(self.notes),
        }
        return told if self.entities is None else {**told, **self.entities.to_dict()}

    def __str__(self) -> str:
        lines = [f"accuracy  {self.accuracy:.4f}  of {self.words:,} words"]
        if self.unknown_accuracy is not None:
            lines[0] += f", of those new to the model {self.unknown_accuracy:.4f}"
        if self.entities is not None and self.entities.types:
            rows = [*self.entities.types.items(), ("all", self.entities.overall)]
            width = max(8, *(len(name) for name, _ in rows))
            lines.append(f"{'entities':{width}}  precision  recall      f1  there are")
            lines += [
                f"{name:{width}}  {s.precision:9.4f}  {s.recall:6.4f}  {s.f1:6.4f}  {s.support:9,}"
                for name, s in rows
            ]
        lines += [str(self.left_out)] if self.left_out else []
        return "\n".join(lines)
