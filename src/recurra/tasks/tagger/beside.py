"""What a tagger tells of a sentence beside its tags, in each format of files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Beside:
    """What is told of a sentence beside its tags.

    probabilities: of each word's tag, (T,). others: further taggings, best first, each with ln of
    its probability; `count` of them are told, fewer where there are no more. first: ln of the
    probability of the best tagging.
    """

    probabilities: Sequence[float] = ()
    others: Sequence[tuple[Sequence[str], float]] = ()
    count: int = 0
    first: float | None = None

    def columns(self, words: int) -> list[tuple[str, ...]]:
        """As further columns of each of so many words; `_` where there is no tagging."""
        sides = [[f"{p:.4f}" for p in self.probabilities]] if len(self.probabilities) else []
        sides += [list(tags) for tags, _ in self.others]
        sides += [["_"] * words] * (self.count - len(self.others))
        return list(zip(*sides, strict=True)) if sides else [()] * words

    def comments(self) -> list[str]:
        """As lines of CoNLL-U before a sentence."""
        lines = []
        if len(self.probabilities):
            row = " ".join(f"{p:.4f}" for p in self.probabilities)
            lines.append(f"# probabilities = {row}")
        if self.first is not None:
            lines.append(f"# log_probability = {self.first:.4f}")
        for k, (tags, log_probability) in enumerate(self.others, 2):
            lines.append(f"# tags_{k} = {' '.join(tags)}")
            lines.append(f"# log_probability_{k} = {log_probability:.4f}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """As values of a JSON object."""
        told: dict[str, Any] = {}
        if len(self.probabilities):
            told["probabilities"] = list(self.probabilities)
        if self.count:
            told["others"] = [
                {"tags": list(tags), "log_probability": value} for tags, value in self.others
            ]
        return told


NOTHING_BESIDE = Beside()
