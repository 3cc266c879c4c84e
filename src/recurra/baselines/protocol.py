"""What takes part in a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from recurra.train import Callback


@dataclass(frozen=True)
class Budget:
    """What a contender may have, so that others have no more.

    minutes: of training; None for as long as it takes. parameters: about so many; None for its own
    choice. What cannot use so much, as a model with a closed solution, uses less. threads: of
    torch; None for torch's own choice. callbacks: watch the training where it has steps.
    """

    minutes: float | None = None
    parameters: int | None = None
    seed: int = 0
    threads: int | None = None
    callbacks: "tuple[Callback, ...]" = ()

    @property
    def limits(self) -> dict[str, Any]:
        """What decides the result, as JSON."""
        return {"minutes": self.minutes, "parameters": self.parameters, "seed": self.seed}


class Measured(Protocol):
    """What `evaluate` returns."""

    def to_dict(self) -> Mapping[str, Any]:
        """The figures by name."""


class Contender(Protocol):
    """A model that can be trained, measured, asked and saved.

    A rival's class is made with the data settings of its task by name, as `columns="label,text"`;
    it takes those it has a use for.
    """

    def fit(self, data: Any, *, valid: Any, budget: Budget) -> None:
        """Train on data in the forms its task reads; choose by `valid` what is to be chosen."""

    def evaluate(self, data: Any) -> Measured:
        """Measure it on data it was not trained on."""

    def predict(self, inputs: Any) -> Any:
        """Answer; in a comparison, one input at a time, of the form `Contest.inputs` makes."""

    def save(self, directory: Path) -> Path:
        """Write what is needed to predict: data, never code."""

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
