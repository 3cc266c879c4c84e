"""What a classifier says of one example."""

from dataclasses import dataclass
from typing import Any

from recurra.data.labels import Label
from recurra.tasks.answers import Answer


@dataclass(frozen=True)
class LabelPrediction(Answer):
    """What a classifier says of one example.

    label: the most probable one, as labels were given. probabilities: of every label, where they
    were asked for.
    """

    label: Label
    probability: float
    probabilities: dict[Label, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Its fields as JSON values; labels as names are texts."""
        told: dict[str, Any] = {"label": self.label, "probability": self.probability}
        if self.probabilities is None:
            return told
        return {**told, "probabilities": {str(k): p for k, p in self.probabilities.items()}}

    def rows(self) -> list[dict[str, Any]]:
        """A row: the label, its probability, and that of every label under its name."""
        every = {f"P({label})": p for label, p in (self.probabilities or {}).items()}
        return [{"label": self.label, "probability": self.probability, **every}]

    def __str__(self) -> str:
        if self.probabilities is None:
            return f"{self.label}\t{self.probability:.4f}"
        shown = "\t".join(f"{label} {p:.4f}" for label, p in self.probabilities.items())
        return f"{self.label}\t{shown}"
