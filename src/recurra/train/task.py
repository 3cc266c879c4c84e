"""What the loop needs of a task, and of its batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from recurra.given import LeftOut

State = Any
"""What a task carries from batch to batch: tensors, or tuples, lists and dicts of them, or None."""


class Batch(Protocol):
    """One step's data; `carry` says that the state of the previous batch flows in."""

    @property
    def carry(self) -> bool:
        """Whether the streams of the previous batch go on in this one."""


class Task(Protocol):
    """A model, its data, and its loss."""

    module: nn.Module

    def batches(self, epoch: int, *, rank: int, world: int) -> Sequence[Batch]:
        """The batches of an epoch for one of `world` ranks: the same number for each rank.

        A function of its arguments alone, with any batch read by its index: a resumed run asks
        for the epoch again and goes on in its middle.
        """

    def loss(self, batch: Any, state: State) -> tuple[Tensor, int, State]:
        """The summed loss of a batch (a scalar, nats), what it sums over, and the state after it.

        `state` is that of the previous batch, detached, where `batch.carry`, else None.
        """

    def validate(self) -> dict[str, float]:
        """Figures on held-out data, with "loss" in nats per token; called in eval mode."""

    def save(self, directory: Path) -> None:
        """Write the model directory, replacing an older one in one step."""


class Judged(Protocol):
    """What a task may add: which of its figures tells the best model, and what it counts."""

    goal: str
    """The figure of `validate` by which the best model is chosen; without it "loss"."""
    goal_higher: bool
    """Whether a higher figure is better."""
    unit: str
    """What the second result of `loss` counts, in the plural; without it "tokens"."""


class Layered(Protocol):
    """What a task may add, so that `unfreeze` and `lr_decay` tell its layers apart."""

    def layers(self) -> Sequence[Sequence[str]]:
        """Names of all of the module's parameters, in layers from the input to the output: see
        `recurra.train.layers.by_depth`."""


class Rated(Protocol):
    """What a task may add, so that `eval_every="auto"` spares slow validations."""

    def validation_cost(self) -> float:
        """How long one validation takes, in training steps: an estimate from sizes, not a clock.

        It has to be the same in every run on the same data, because the steps at which the model
        is validated depend on it.
        """


class Planned(Protocol):
    """What a task may add, so that its model directory says how a budget in minutes came out."""

    planned: str
    """The plan as carried out so far, in the form of the option `plan`; empty where the length was
    given. Set before each `save`."""


class Sampled(Protocol):
    """What a task may add, so that the report of a run shows what the model writes."""

    def samples(self) -> Sequence[tuple[str, str]]:
        """Some texts, as (prompt, continuation); called in eval mode with the best weights."""


class Begun(Protocol):
    """What a task may add whose weights are those of a trained model."""

    begun: bool
    """Whether the model is validated before the first step, so that it stays the best unless a
    later validation is better."""


class Told(Protocol):
    """What a task may add, so that the user learns what became of the data."""

    left_out: LeftOut
    """What of the data could not be used."""
    notes: Sequence[str]
    """What was switched off, and why; a line each."""
