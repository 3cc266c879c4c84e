"""Layers that learn at different times and rates (Howard & Ruder 2018, ULMFiT).

What a pretrained model knows is most general in its first layers: they begin to learn last, and
learn slowest, so that what the new task has still to find out does not wash it away.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from recurra.errors import InputError
from recurra.train.config import TrainConfig

_RECURRENT = re.compile(r"_l(\d+)(_reverse)?$")


@dataclass(frozen=True)
class Unfreezing:
    """Which of `count` layers learn, the last first and one more after each `every` steps (0: all
    from the beginning), each at `decay` times the learning rate of the one above."""

    count: int
    every: int
    decay: float

    @classmethod
    def plan(cls, config: TrainConfig, steps: int, *, count: int) -> "Unfreezing":
        """That of a run of `steps` steps; `unfreeze` below 1 is a share of them."""
        every = config.unfreeze * steps if config.unfreeze < 1 else config.unfreeze
        return cls(count, max(1, int(every)) if config.unfreeze else 0, config.lr_decay)

    def at(self, step: int) -> tuple[float, ...]:
        """The share of the learning rate that each layer learns at in step number `step`, counted
        from 0; 0 for one that does not learn yet."""
        learning = min(self.count, 1 + step // self.every) if self.every else self.count
        frozen = self.count - learning
        return tuple(
            0.0 if layer < frozen else self.decay ** (self.count - 1 - layer)
            for layer in range(self.count)
        )

    @property
    def whole(self) -> tuple[float, ...]:
        """The shares once every layer learns."""
        return Unfreezing(self.count, 0, self.decay).at(0)


def by_depth(names: Iterable[str]) -> list[list[str]]:
    """Names of parameters in layers, from the input to the output.

    The first layer is all embeddings; then comes each recurrent layer (`…_l0`, `…_l1`, both of its
    directions, initial states with the first); the last is all else: what the task adds on top.
    """
    layers: dict[float, list[str]] = {}
    for name in names:
        found = _RECURRENT.search(name)
        if found:
            depth = float(found[1])
        elif ".initial_" in name:
            depth = 0.0
        else:
            depth = -1.0 if "embedding" in name else float("inf")
        layers.setdefault(depth, []).append(name)
    return [layers[depth] for depth in sorted(layers)]


def layers_of(task: Any, config: TrainConfig) -> list[list[str]]:
    """The layers of a task's parameters, all in one where nothing tells them apart.

    Raises:
        InputError: `unfreeze` or `lr_decay` is set, and the task names no layers.
    """
    names = [name for name, p in task.module.named_parameters() if p.requires_grad]
    if not config.unfreeze and config.lr_decay == 1:
        return [names]
    if not hasattr(task, "layers"):
        raise InputError(
            "unfreeze, lr_decay: the model has no layers to tell apart: leave them out"
        )
    layers = [[name for name in layer if name in names] for layer in task.layers()]
    missing = set(names).difference(*layers)
    assert not missing, f"in no layer: {sorted(missing)}"
    return [layer for layer in layers if layer]
