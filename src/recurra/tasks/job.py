"""What one call of `fit` decides, whatever the task."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from recurra.settings import Settings
from recurra.storage import ModelFiles
from recurra.tasks.network import NetworkConfig

if TYPE_CHECKING:
    from recurra.train import Callback, TrainConfig


Model = TypeVar("Model", bound=NetworkConfig)
Data = TypeVar("Data", bound=Settings)


@dataclass(frozen=True)
class Job(Generic[Model, Data]):
    """Data, settings, and where the run is.

    `source` and `valid` are in the forms the task reads; `files` are those of a model that is
    trained further, else None; `started` is of `time.monotonic`; `pretrained` are those of
    a language model to begin from; `weights` are those of the examples, where they have any;
    `begun` is the SHA-256 of the model directory that training goes on from, where one was named.
    """

    source: Any
    valid: Any
    out: Path | None
    fresh: bool
    model: Model
    data: Data
    train: "TrainConfig"
    files: ModelFiles | None
    callbacks: "tuple[Callback, ...]"
    started: float
    pretrained: ModelFiles | None = None
    weights: Any = None
    begun: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that a run shares with the one it continues, besides those of training."""
        model, data = self.model.identity(), self.data.identity()
        begun = {} if self.begun is None else {"from": self.begun}
        return {"model": model, "data": data, **self.model.own_cell(), **begun}
